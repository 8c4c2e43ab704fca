package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestGetTriesAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("pod node\n"))
	}))
	defer server.Close()
	var out bytes.Buffer
	if err := get(t.Context(), &out, server.URL, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if out.String() != "pod node\n" || calls.Load() != 2 {
		t.Errorf("got %q after %d calls, want the second answer", out.String(), calls.Load())
	}
}

func TestGetGivesUp(t *testing.T) {
	t.Parallel()
	err := get(t.Context(), &bytes.Buffer{}, "http://127.0.0.1:1/", 50*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("get() = %v, want a deadline", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"get"}, {"fly"}} {
		if err := run(t.Context(), args); err == nil || err.Error() != usage {
			t.Errorf("run(%q) = %v, want usage", args, err)
		}
	}
}

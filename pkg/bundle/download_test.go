package bundle

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

func TestStalledTransferEnds(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("some bytes"))
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stop)
	s, err := NewStore(Options{CacheDir: t.TempDir(), Mirror: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := s.src.(*fetcher)
	f.pause = nil
	f.client.Transport = stallGuard{http.DefaultTransport, 50 * time.Millisecond}
	items, err := Catalogue("v1.37.2", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	err = s.Fetch(t.Context(), items[:1], nil)
	if diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "no byte came for 50ms") {
		t.Errorf("stalled fetch: %v (kind %q)", err, diag.KindOf(err))
	}
}

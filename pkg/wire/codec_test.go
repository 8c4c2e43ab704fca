package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

func TestFramesComeBackAsTheyWereSent(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := NewWriter(&buf)
	if err := w.Mark(AgentMark); err != nil {
		t.Fatal(err)
	}
	sent := Header{ID: 7, Type: TApply, Apply: &Apply{Run: "r1", Resources: []spec.Resource{{
		ID:   "file /etc/x",
		File: &spec.File{Path: "/etc/x", Mode: 0o600, Content: []byte("a\n\x00b")},
	}}}}
	if err := w.Write(sent, nil); err != nil {
		t.Fatal(err)
	}
	raw := bytes.Repeat([]byte{0, '\n', 0xff}, 1000)
	if err := w.Write(Header{ID: 8, Type: TData}, raw); err != nil {
		t.Fatal(err)
	}

	r := NewReader(io.MultiReader(strings.NewReader("Welcome!\nmotd\n"), &buf))
	noise, err := r.SkipTo(AgentMark, MaxNoise)
	if err != nil || string(noise) != "Welcome!\nmotd\n" {
		t.Fatalf("SkipTo = %q, %v", noise, err)
	}
	got, _, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sent, got); d != "" {
		t.Errorf("header (-sent +got):\n%s", d)
	}
	if _, gotRaw, err := r.Read(); err != nil || !bytes.Equal(gotRaw, raw) {
		t.Errorf("raw part differs, err %v", err)
	}
	if _, _, err := r.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v, want EOF", err)
	}
}

func TestBadFrames(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"unknown field": `{"type":"ping","colour":1}` + "\n",
		"not json":      "hello\n",
		"negative raw":  `{"type":"data","n":-1}` + "\n",
		"huge raw":      `{"type":"data","n":99999999999}` + "\n",
	}
	for name, in := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := NewReader(strings.NewReader(in)).Read()
			if diag.KindOf(err) != diag.Transport {
				t.Errorf("Read = %v, want an error of kind transport", err)
			}
		})
	}
	if _, _, err := NewReader(strings.NewReader(`{"type":"data","n":10}` + "\nabc")).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut raw part: %v, want unexpected EOF", err)
	}
}

func TestWritersDoNotInterleave(t *testing.T) {
	t.Parallel()
	pr, pw := io.Pipe()
	w := NewWriter(pw)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			raw := bytes.Repeat([]byte{byte(i)}, 10_000)
			for range 50 {
				if err := w.Write(Header{ID: uint64(i), Type: TData}, raw); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	go func() { wg.Wait(); pw.Close() }()
	r := NewReader(pr)
	n := 0
	for {
		h, raw, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) != 10_000 || raw[0] != byte(h.ID) || raw[9_999] != byte(h.ID) {
			t.Fatalf("frame of writer %d is torn", h.ID)
		}
		n++
	}
	if n != 400 {
		t.Errorf("got %d frames, want 400", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"id":1,"type":"facts"}` + "\n"))
	f.Add([]byte(`{"id":1,"type":"data","n":3}` + "\nabc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		for {
			if _, _, err := r.Read(); err != nil {
				return
			}
		}
	})
}

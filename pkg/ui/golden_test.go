package ui

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the golden files; only commit changes that you understand")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func recorded(t *testing.T) []event.Event {
	t.Helper()
	events, err := journal.Read("testdata/apply.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"plain":         {},
		"plain-verbose": {Verbose: true, ASCII: true},
		"plain-color":   {Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			r := NewPlain(&b, o)
			for _, e := range recorded(t) {
				r.Event(e)
			}
			r.Close()
			golden(t, name, b.String())
		})
	}
}

func TestJSONIsExactlyTheRecord(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/apply.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	r := NewJSON(&b)
	for _, e := range recorded(t) {
		r.Event(e)
	}
	r.Close()
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

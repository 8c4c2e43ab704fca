package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/journal"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	const (
		start = `{"seq":1,"event":"run-start","command":"apply"}` + "\n"
		step  = `{"seq":2,"event":"notice","text":"x"}` + "\n"
	)
	end := `{"seq":9,"event":"summary","hint":"` + strings.Repeat("long", 40<<10) + `","changed":3}` + "\n"
	tests := map[string]struct {
		text           string
		first, summary bool
	}{
		"whole":            {start + strings.Repeat(step, 5000) + end, true, true},
		"no summary":       {start + step, true, false},
		"summary is cut":   {start + step + end[:500], true, false},
		"start alone":      {start, true, false},
		"start is cut":     {start[:20], false, false},
		"empty":            {"", false, false},
		"summary is first": {end, true, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journal.EventsFile), []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			first, summary, err := journal.Ends(dir)
			if err != nil || (first != nil) != tc.first || (summary != nil) != tc.summary {
				t.Fatalf("Ends = %v, %v, %v; want first %v, summary %v", first, summary, err, tc.first, tc.summary)
			}
			if summary != nil && (summary.Event != event.Summary || summary.Changed != 3) {
				t.Errorf("summary = %+v", summary)
			}
		})
	}
	if _, _, err := journal.Ends(filepath.Join(t.TempDir(), "none")); diag.KindOf(err) != diag.NotFound {
		t.Errorf("Ends of nothing: %v", err)
	}
}

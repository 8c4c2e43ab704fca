package ui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kforge.dev/kforge/pkg/event"
)

func TestClean(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"plain ünï":          "plain ünï",
		"a\tb\r\n":           "a    b",
		"two\nlines":         "two; lines",
		"\x1b[2J\x07":        `\x1b[2J\x07`,
		"evil \u202egpj.exe": `evil \u202egpj.exe`,
		"bad \xff byte":      `bad \xff byte`,
		"real \ufffd":        "real \ufffd",
		"c1 \u009b31m":       `c1 \x9b31m`,
	}
	for in, want := range tests {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCutNeverExceedsItsColumns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := clean(rapid.String().Draw(t, "text"))
		n := rapid.IntRange(1, 40).Draw(t, "columns")
		st := style{Options{ASCII: rapid.Bool().Draw(t, "ascii")}}
		got := st.cut(s, n)
		if width(got) > n {
			t.Fatalf("cut to %d: %q takes %d", n, got, width(got))
		}
		if width(s) <= n && got != s {
			t.Fatalf("cut %q to %q though it fits", s, got)
		}
		if strings.IndexFunc(got, hostile) >= 0 {
			t.Fatalf("%q could harm a terminal", got)
		}
	})
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for in, want := range map[float64]string{0: "0.0s", -1: "0.0s", 2.14: "2.1s", 12.9: "12s", 62: "1m02s", 3900: "1h05m"} {
		if got := seconds(in); got != want {
			t.Errorf("seconds(%v) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0 B", 999: "999 B", 38_200_000: "38.2 MB", 5_000_000_000_000_000: "5000.0 TB"} {
		if got := size(in); got != want {
			t.Errorf("size(%d) = %s, want %s", in, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"n1", "10.0.0.1", "control-plane"}, {"日本", "10.0.0.20", "worker\x1b[31m"}, {"n3", "", ""}}
	for name, o := range map[string]Options{
		"table":        {},
		"table-narrow": {Width: 20, Color: true},
	} {
		var b strings.Builder
		if err := Table(&b, []string{"name", "address", "role"}, rows, o); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tests := []struct {
		color string
		env   map[string]string
		want  Options
	}{
		{"auto", map[string]string{"LANG": "en_US.UTF-8"}, Options{}},
		{"always", map[string]string{"LC_ALL": "C.utf8", "LANG": "C"}, Options{Color: true}},
		{"never", map[string]string{"LC_ALL": "C", "LANG": "en_US.UTF-8"}, Options{ASCII: true}},
		{"auto", nil, Options{ASCII: true}},
	}
	for _, tt := range tests {
		if got := Detect(f, tt.color, func(k string) string { return tt.env[k] }); got != tt.want {
			t.Errorf("Detect(%s, %v) = %+v, want %+v", tt.color, tt.env, got, tt.want)
		}
	}
	if cols, rows := Size(f)(); cols != 80 || rows != 24 {
		t.Errorf("Size of a file = %d, %d", cols, rows)
	}
}

// In a big fleet the hosts that ended alike are one row; the failed are not.
func TestSummaryOfABigFleet(t *testing.T) {
	t.Parallel()
	d := &event.SummaryData{Changed: 360, Failed: 2, Skipped: 20, Unreachable: 1}
	for i := range 200 {
		h := event.HostResult{Host: fleet(200, 0)[0].Hosts[i], Status: event.Changed, Changes: 2, Seconds: float64(i)}
		switch {
		case i == 3 || i == 17:
			h.Status, h.Step, h.Error = event.Failed, "import 7 images", fullDisk(h.Host)
		case i == 50:
			h.Status, h.Error = event.Unreachable, fullDisk(h.Host)
		case i >= 180:
			h.Status, h.Changes, h.Because = event.Skipped, 0, "too many failures"
		}
		d.Results = append(d.Results, h)
	}
	var b strings.Builder
	style{}.summary(&b, &story{command: "apply", cluster: "fleet"}, d)
	golden(t, "summary-200", b.String())
}

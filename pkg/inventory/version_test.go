package inventory_test

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/inventory"
)

func TestPath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, to, want, err string }{
		{"v1.37.2", "v1.37.2", "", ""},
		{"v1.37.0", "v1.37.2", "v1.37.2", ""},
		{"v1.36.1", "v1.37.2", "v1.37.2", ""},
		{"v1.35.4", "v1.37.2", "v1.36.3 v1.37.2", ""},
		{"v1.37.2", "v1.37.1", "", "no way back"},
		{"v1.33.1", "v1.36.3", "", "goes through 1.34, which this kforge does not install"},
	} {
		got, err := inventory.Path(tt.from, tt.to)
		if strings.Join(got, " ") != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("Path(%s, %s) = %v, %v", tt.from, tt.to, got, err)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"v1.37.2", "1.37.2", 0}, {"v1.36.10", "v1.36.9", 1}, {"v1.36.3", "v1.37.0", -1}, {"", "v1.0.0", -1}, {"v1.37.2-rc.1", "v1.37.2", 0},
	} {
		if got := inventory.CompareVersions(tt.a, tt.b); got != tt.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if n := inventory.MinorsApart("v1.35.4", "v1.37.2"); n != 2 {
		t.Errorf("MinorsApart = %d", n)
	}
}

package inventory_test

import (
	"testing"

	"kforge.dev/kforge/pkg/inventory"
)

func TestShare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text     string
		of, want int
	}{
		{"1", 100, 1}, {"7", 3, 7}, {"10%", 100, 10}, {"10%", 19, 1}, {"10%", 3, 1}, {"100%", 4, 4},
		{"0", 5, 0}, {"-1", 5, 0}, {"101%", 5, 0}, {"some", 5, 0}, {"", 5, 0}, {"1.5", 5, 0},
	} {
		got, err := inventory.Share(tt.text, tt.of)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("Share(%q, %d) = %d, %v; want %d", tt.text, tt.of, got, err, tt.want)
		}
	}
}

package preflight_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/preflight"
)

// The page of checks has every rule in its table, and its example is good.
func TestDocs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| [a-z, ]+ \\| ").FindAllStringSubmatch(string(raw), -1) {
		got = append(got, m[1])
	}
	for _, name := range preflight.Rules() {
		if !slices.Contains(got, name) {
			t.Errorf("docs/check.md has no row for the rule %s", name)
		}
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(raw)
	if example == nil {
		t.Fatal("docs/check.md has no example")
	}
	if _, _, warnings, err := inventory.Decode("check.md", t.TempDir(), example[1]); err != nil || len(warnings) > 0 {
		t.Errorf("the example: %v, %v", err, warnings)
	}
}

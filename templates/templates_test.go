package templates_test

import (
	"strings"
	"testing"

	"kforge.dev/kforge/templates"
)

func TestRender(t *testing.T) {
	t.Parallel()
	got, err := templates.Render("node/crictl.yaml.tmpl", map[string]any{"Header": "# head"})
	if err != nil || !strings.HasPrefix(string(got), "# head\n") {
		t.Errorf("%q, %v", got, err)
	}
	for name, data := range map[string]map[string]any{
		"a value is missing":      {},
		"no such template":        nil,
		"newline in a quoted one": {"Header": "#", "PauseImage": "a\nb", "RestrictOOMScoreAdj": true},
	} {
		path := "node/config.toml.tmpl"
		if data == nil {
			path = "node/nothing.tmpl"
		}
		if _, err := templates.Render(path, data); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A value can be anything that the inventory accepts; it must stay one string.
func TestQuote(t *testing.T) {
	t.Parallel()
	got, err := templates.Render("node/config.toml.tmpl", map[string]any{
		"Header": "#", "PauseImage": `a"b\c`, "RestrictOOMScoreAdj": false,
	})
	if err != nil || !strings.Contains(string(got), `sandbox = "a\"b\\c"`) {
		t.Errorf("%s, %v", got, err)
	}
}

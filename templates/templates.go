// Package templates holds the texts that kforge puts on hosts and into the
// cluster, and fills them in. A template that names a value which it was not
// given is an error, never an empty string.
package templates

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed node addon
var files embed.FS

var funcs = template.FuncMap{
	// quote gives a double-quoted string that TOML, YAML and JSON all read.
	"quote": func(s string) (string, error) {
		for _, r := range s {
			if r < 0x20 || r == 0x7f {
				return "", fmt.Errorf("control character in %q", s)
			}
		}
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, nil
	},
	// indent puts n spaces before each line but the first.
	"indent": func(n int, s string) string {
		return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
	},
}

// Render fills the template at path ("node/config.toml.tmpl") with data.
func Render(path string, data any) ([]byte, error) {
	text, err := files.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	t, err := template.New(path).Funcs(funcs).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse template %s: %w", path, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("fill template %s: %w", path, err)
	}
	return out.Bytes(), nil
}

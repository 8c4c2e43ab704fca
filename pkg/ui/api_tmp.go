package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"kforge.dev/kforge/pkg/event"
)

func plan(w io.Writer, v PlanView, _ Options) error {
	for _, i := range v.Items {
		if _, err := fmt.Fprintln(w, i.Change.Action, i.Host, i.Change.Resource); err != nil {
			return err
		}
	}
	return nil
}
func planJSON(v PlanView) ([]byte, error) { return json.Marshal(v.Items) }

// Plain writes a line per event.
type Plain struct{ w io.Writer }

// NewPlain makes a renderer for logs and pipes.
func NewPlain(w io.Writer, _ Options) *Plain { return &Plain{w} }

// Event writes the event's line.
func (p *Plain) Event(e event.Event) { fmt.Fprintln(p.w, e.Event, e.Host, e.Title, e.Text) }

// Close ends the output.
func (p *Plain) Close() {}

// TTY draws a live view of a run.
type TTY struct{ *Plain }

// NewTTY makes a renderer for a terminal.
func NewTTY(w io.Writer, _ func() (cols, rows int), o Options) *TTY { return &TTY{NewPlain(w, o)} }

// Error shows an error, or each of several, to a person.
func Error(w io.Writer, err error, _ Options) { fmt.Fprintln(w, "error:", err) }

// Table writes rows in aligned columns under a header.
func Table(w io.Writer, header []string, rows [][]string, _ Options) error {
	for _, r := range append([][]string{header}, rows...) {
		if _, err := fmt.Fprintln(w, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func utf8Locale(env func(string) string) bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := env(k); v != "" {
			v = strings.ToUpper(v)
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

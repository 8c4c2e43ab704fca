// Package ui shows runs, plans, tables and errors to people and programs. It
// draws from events and data only and never decides anything.
//
// The rules of its text: lower case and no full stop in messages, one fact a
// line; a sign before a colour, so that nothing is told by colour alone; what
// comes from a host is made harmless before it reaches a terminal.
package ui

import (
	"os"

	"golang.org/x/term"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// Renderer shows the events of a run. Event is called by one goroutine, in the
// order of the events; after Close nothing is written any more.
type Renderer interface {
	Event(event.Event)
	// Suspend calls f, which may print and ask on the same terminal, with
	// nothing drawn over it. Events go on being taken.
	Suspend(f func())
	Close()
}

// New makes the renderer of --progress: tty, plain, json, or auto, which is tty
// on a terminal that can move its cursor and plain elsewhere.
func New(mode string, f *os.File, o Options) (Renderer, error) {
	if mode == "auto" || mode == "" {
		mode = "plain"
		if IsTerminal(f) && os.Getenv("TERM") != "dumb" {
			mode = "tty"
		}
	}
	switch mode {
	case "tty":
		return NewTTY(f, Size(f), o), nil
	case "plain":
		return NewPlain(f, o), nil
	case "json":
		return NewJSON(f), nil
	}
	return nil, diag.New(diag.Invalid, "", "unknown kind of progress %q", mode).WithHint("use auto, tty, plain or json")
}

var (
	_ Renderer = (*TTY)(nil)
	_ Renderer = (*Plain)(nil)
	_ Renderer = (*JSON)(nil)
)

// Options say how to draw. The zero value is plain text for any terminal in
// UTF-8, without colour and without a limit to the width.
type Options struct {
	Color   bool
	ASCII   bool // no characters beyond ASCII of our own
	Verbose bool // also output of commands, notices and single changes
	Width   int  // columns, 0 is no limit; the TTY renderer asks its size instead
}

// Detect finds the options for an output from the flag --color (auto, always,
// never) and the environment (NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG).
func Detect(f *os.File, color string, env func(string) string) Options {
	o := Options{ASCII: !utf8Locale(env)}
	tty := IsTerminal(f)
	switch color {
	case "always":
		o.Color = true
	case "never":
	default:
		o.Color = tty && env("NO_COLOR") == "" && env("TERM") != "dumb"
	}
	if tty {
		o.Width, _ = Size(f)()
	}
	return o
}

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// Size gives the size of the terminal each time it is called, 80 by 24 when f
// does not tell.
func Size(f *os.File) func() (cols, rows int) {
	return func() (int, int) {
		cols, rows, err := term.GetSize(int(f.Fd()))
		if err != nil || cols <= 0 || rows <= 0 {
			return 80, 24
		}
		return cols, rows
	}
}

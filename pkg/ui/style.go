package ui

import (
	"strings"

	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/spec"
)

// style is how things look under the options.
type style struct{ Options }

type color string

const (
	none   color = ""
	bold   color = "1"
	dim    color = "2"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	cyan   color = "36"
)

// paint colours text where colour is on. Widths are to be found before.
func (st style) paint(c color, s string) string {
	if !st.Color || c == none || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// A character of ours and what stands for it in ASCII.
type char struct{ utf8, ascii string }

var (
	ellipsis = char{"…", "..."}
	dot      = char{"·", "|"}
	good     = char{"✓", "+"}
	altered  = char{"~", "~"}
	bad      = char{"✗", "x"}
	caution  = char{"!", "!"}
	skipped  = char{"-", "-"}
	running  = char{"●", "*"}
	again    = char{"↻", "@"}
	full     = char{"█", "#"}
	empty    = char{"░", "."}
)

func (st style) char(c char) string {
	if st.ASCII {
		return c.ascii
	}
	return c.utf8
}

// status gives sign and colour of how a step or host ended.
func (st style) status(s event.Status) (sign string, c color) {
	switch s {
	case event.OK:
		return st.char(good), green
	case event.Changed:
		return st.char(altered), yellow
	case event.Failed, event.Unreachable:
		return st.char(bad), red
	}
	return st.char(skipped), dim
}

// action gives sign, colour and word of a change; the word is left out where
// the sign says it all.
func (st style) action(a spec.Action) (sign string, c color, word string) {
	switch a {
	case spec.Create:
		return "+", green, ""
	case spec.Update:
		return "~", yellow, ""
	case spec.Delete:
		return "-", red, ""
	case spec.Stop:
		return "-", red, "stop "
	case spec.Start, spec.Restart:
		return st.char(again), cyan, string(a) + " "
	case spec.Run:
		return ">", cyan, "run "
	}
	return "+", green, string(a) + " "
}

// bar draws done of total in n columns.
func (st style) bar(done, total int64, n int) string {
	filled := 0
	if total > 0 {
		filled = int(min(max(done, 0), total) * int64(n) / total)
	}
	return strings.Repeat(st.char(full), filled) + strings.Repeat(st.char(empty), n-filled)
}

// utf8Locale reads the locale as the C library does: the first that is set.
func utf8Locale(env func(string) string) bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(env(k)); v != "" {
			return strings.Contains(v, "UTF-8") || strings.Contains(v, "UTF8")
		}
	}
	return false
}

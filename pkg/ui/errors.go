package ui

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
	"kforge.dev/kforge/pkg/event"
)

// Error shows an error, or each of several, to a person: what and why, where
// with the line of the user's file, and what to do. Equal errors of several
// hosts are shown once. It is the one place that prints an error.
func Error(w io.Writer, err error, o Options) {
	if err == nil {
		return
	}
	var b strings.Builder
	st, all := style{o}, errlist.Flatten(err)
	st.errors(&b, all)
	// What to do about all of them together is said by the error around them.
	if d, ok := err.(*diag.Error); ok && len(all) > 0 && all[0] != err && d.Hint != "" { //nolint:errorlint // only the outermost
		st.fix(&b, d.Hint)
	}
	_, _ = io.WriteString(w, b.String())
}

// Untold gives what of err the summary of a run has not shown yet, or nil.
func Untold(err error, s *event.SummaryData) error {
	if err == nil || s == nil {
		return err
	}
	told := make(map[string]bool)
	for _, r := range s.Results {
		if r.Error != nil {
			told[r.Error.Error()] = true
		}
	}
	rest := slices.DeleteFunc(errlist.Flatten(err), func(e error) bool { return told[e.Error()] })
	return errors.Join(rest...)
}

// trouble is an error as it is shown, with the hosts that have it.
type trouble struct {
	what, step, hint string
	pos              diag.Position
	hosts            []string
}

func (st style) errors(b *strings.Builder, errs []error) {
	var list []*trouble
	seen := make(map[string]*trouble)
	for _, err := range errs {
		t := explain(err)
		key := strings.Join([]string{t.what, t.step, t.hint, t.pos.String()}, "\x00")
		if first := seen[key]; first != nil {
			first.hosts = append(first.hosts, t.hosts...)
			continue
		}
		seen[key] = t
		list = append(list, t)
	}
	for i, t := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		st.trouble(b, t)
	}
}

// explain takes the parts of an error that have a place of their own out of its
// text.
func explain(err error) *trouble {
	t := &trouble{what: err.Error(), hint: diag.Hint(err)}
	for e := err; e != nil; {
		var d *diag.Error
		if !errors.As(e, &d) {
			break
		}
		if t.pos == (diag.Position{}) {
			t.pos = d.Pos
		}
		e = d.Err
	}
	if p := t.pos.String(); p != "" {
		t.what = strings.Replace(t.what, p+": ", "", 1)
	}
	if host := diag.HostOf(err); host != "" {
		t.hosts = []string{host}
		t.what = strings.TrimPrefix(t.what, host+": ")
		t.step = short(diag.StepOf(err), host)
	} else if step := diag.StepOf(err); step != "" {
		t.step = short(step, "")
		t.hosts = []string{""}
	}
	return t
}

func (st style) trouble(b *strings.Builder, t *trouble) {
	where := ""
	if len(t.hosts) > 0 {
		slices.Sort(t.hosts)
		t.hosts = slices.Compact(t.hosts)
		where = hostList(t.hosts) + ": "
		if len(t.hosts) > 1 {
			where = count(len(t.hosts), "host") + " (" + hostList(t.hosts) + "): "
		}
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(t.what), "\n")
	fmt.Fprintf(b, "%s %s%s\n", st.paint(red, "error:"), st.paint(bold, where), clean(first))
	for line := range strings.Lines(rest) {
		fmt.Fprintf(b, "  %s\n", clean(line))
	}
	if t.step != "" {
		fmt.Fprintf(b, "  step: %s\n", t.step)
	}
	if t.pos != (diag.Position{}) {
		fmt.Fprintf(b, "  at: %s\n", clean(t.pos.String()))
		st.source(b, t.pos)
	}
	st.fix(b, t.hint)
}

func (st style) fix(b *strings.Builder, hint string) {
	if hint == "" {
		return
	}
	head := "fix: "
	for line := range strings.Lines(hint) {
		fmt.Fprintf(b, "%s%s\n", st.paint(green, head), clean(line))
		head = "     "
	}
}

// source shows the line of the user's file with the word in question marked.
// A file that cannot be read any more (standard input) has no line to show.
func (st style) source(b *strings.Builder, p diag.Position) {
	raw, err := os.ReadFile(p.File)
	if err != nil || p.Line < 1 {
		return
	}
	lines := strings.Split(string(raw), "\n")
	if p.Line > len(lines) {
		return
	}
	line := []rune(strings.TrimRight(lines[p.Line-1], "\r"))
	n := fmt.Sprint(p.Line)
	fmt.Fprintf(b, " %s %s %s\n", st.paint(dim, n), st.paint(dim, "|"), clean(string(line)))
	if p.Col < 1 || p.Col > len(line)+1 {
		return
	}
	word := 0
	for _, r := range line[p.Col-1:] {
		if r == ' ' || r == '\t' || r == ':' || r == ',' {
			break
		}
		word++
	}
	blank := strings.Repeat(" ", width(clean(string(line[:p.Col-1]))))
	fmt.Fprintf(b, " %s %s %s%s\n", strings.Repeat(" ", len(n)), st.paint(dim, "|"), blank, st.paint(red, strings.Repeat("^", max(1, word))))
}

package journal

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"kforge.dev/kforge/pkg/event"
)

// logLine is an event as a line of run.log (several when its text has several),
// or "" when it says nothing to a reader of a log.
func logLine(e event.Event) string {
	var what []string
	add := func(format string, args ...any) { what = append(what, fmt.Sprintf(format, args...)) }
	switch e.Event {
	case event.RunStart:
		add("run %s: kforge %s, %s of cluster %s, %d hosts", e.Run, e.Version, e.Command, e.Cluster, len(e.Hosts))
	case event.HostState:
		add("is %s", e.State)
	case event.Phase:
		add("phase %s", e.Title)
	case event.Graph:
		add("%d steps", e.Total)
	case event.StepStart:
		add("start: %s", e.Title)
	case event.Progress:
		if e.Done < e.Total {
			return "" // thousands a second: events.jsonl has them
		}
		add("progress: %s %d/%d", e.Title, e.Done, e.Total)
	case event.Output:
		add("| %s", e.Text)
	case event.Change:
		if c := e.Change; c != nil {
			add("change: %s %s %s", c.Action, c.Resource, strings.Join(nonempty(c.Detail, c.Why), ", "))
			if c.Diff != "" {
				add("%s", c.Diff)
			}
		}
	case event.StepDone:
		add("%s: %s, %d changes, %.1fs %s", e.Status, e.Title, e.Changes, e.Seconds, e.Text)
	case event.Warning:
		add("warning: %s", e.Text)
	case event.Notice:
		add("%s", e.Text)
	case event.Summary:
		if s := e.SummaryData; s != nil {
			add("end: %d changes, %d hosts failed, %d unreachable, %d skipped", s.Changed, s.Failed, s.Unreachable, s.Skipped)
		}
	}
	if e.Hint != "" {
		add("fix: %s", e.Hint)
	}
	if e.Error != nil {
		add("error: %v", e.Error)
		if e.Error.Hint != "" {
			add("fix: %s", e.Error.Hint)
		}
	}
	return lines(e, what)
}

// lines gives each line of the texts with time and place in front, so that grep
// by host finds all of it.
func lines(e event.Event, what []string) string {
	place := strings.Join(nonempty(e.Host, e.Step), " ")
	if place == "" {
		place = "-"
	}
	var b strings.Builder
	for _, text := range what {
		for line := range strings.Lines(strings.TrimRight(text, "\n ")) {
			fmt.Fprintf(&b, "%s %s %s\n", e.Time.Format(time.RFC3339), place, neutral(strings.TrimRight(line, "\r\n")))
		}
	}
	return b.String()
}

// neutral makes control characters from hosts visible: a log is often read with
// a program that obeys them.
func neutral(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r != '\t' && unicode.IsControl(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func nonempty(ss ...string) (out []string) {
	for _, s := range ss {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

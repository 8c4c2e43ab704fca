package ui

import (
	"fmt"
	"io"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/event"
)

// calm is how long plain lines stay silent about the progress of a step.
const calm = 5 * time.Second

// Plain writes a line for each thing that happened, for logs and pipes.
type Plain struct {
	w     io.Writer
	st    style
	story story
	hosts int // columns of the longest host name
	told  map[string]time.Time
}

// NewPlain makes a renderer without cursor movements.
func NewPlain(w io.Writer, o Options) *Plain {
	return &Plain{w: w, st: style{o}, told: make(map[string]time.Time)}
}

// Event writes the lines of the event. A reader that has gone away does not
// stop the run.
func (p *Plain) Event(e event.Event) {
	tails := p.story.tails[e.Step]
	p.story.take(e)
	var b strings.Builder
	p.lines(&b, e, tails)
	_, _ = io.WriteString(p.w, b.String())
}

// Suspend calls f: there is no view to be disturbed.
func (p *Plain) Suspend(f func()) { f() }

// Close ends the output.
func (p *Plain) Close() {}

func (p *Plain) lines(b *strings.Builder, e event.Event, tails []string) {
	st, more := p.st, p.st.char(ellipsis)
	switch e.Event {
	case event.RunStart:
		for _, h := range append([]string{""}, e.Hosts...) {
			p.hosts = max(p.hosts, width(place(h)))
		}
		p.line(b, e, fmt.Sprintf("%s %s %s", clean(e.Command), clean(e.Cluster), count(len(e.Hosts), "host")))
	case event.HostState:
		if e.Error != nil {
			p.line(b, e, st.paint(red, clean(e.State))+": "+clean(e.Error.Error()))
		} else {
			p.line(b, e, clean(e.State))
		}
	case event.Phase:
		p.line(b, e, st.paint(bold, clean(e.Title)))
	case event.Graph:
		p.line(b, e, count(int(e.Total), "step"))
	case event.StepStart:
		p.line(b, e, clean(e.Title)+" "+more)
	case event.Progress:
		if last, ok := p.told[e.Step]; !ok || e.Time.Sub(last) >= calm {
			p.told[e.Step] = e.Time
			p.line(b, e, clean(e.Title)+progress(e.Done, e.Total))
		}
	case event.Output:
		if st.Verbose {
			p.line(b, e, st.paint(dim, "| "+clean(e.Text)))
		}
	case event.Change:
		if st.Verbose && e.Change != nil {
			st.change(b, place(e.Host)+"  ", *e.Change)
		}
	case event.StepDone:
		delete(p.told, e.Step)
		for _, l := range tails {
			if e.Status == event.Failed && !st.Verbose {
				p.line(b, e, st.paint(dim, "| "+l))
			}
		}
		p.line(b, e, clean(e.Title)+" "+more+" "+st.outcome(e))
	case event.Warning:
		p.line(b, e, st.paint(yellow, "warning:")+" "+clean(e.Text))
		if e.Hint != "" {
			p.line(b, e, st.paint(green, "fix:")+" "+clean(e.Hint))
		}
	case event.Notice:
		if st.Verbose {
			p.line(b, e, clean(e.Text))
		}
	case event.Summary:
		st.summary(b, &p.story, e.SummaryData)
	}
}

// line puts time, host and step in front. The run as a whole has no step and
// leaves both places empty.
func (p *Plain) line(b *strings.Builder, e event.Event, text string) {
	host, step := "", short(e.Step, e.Host)
	if e.Host != "" || e.Step != "" {
		host = place(e.Host)
	}
	front := fmt.Sprintf("%6.1fs  %s", e.Time.Sub(p.story.begin.Time).Seconds(), pad(host, p.hosts))
	if step != "" {
		front += "  " + pad(step, 16)
	}
	b.WriteString(front + "  " + text + "\n")
}

// outcome says how a step ended: changed (3 changes) 2.1s.
func (st style) outcome(e event.Event) string {
	_, tint := st.status(e.Status)
	text := st.paint(tint, string(e.Status))
	if e.Changes > 0 {
		text += " (" + count(e.Changes, "change") + ")"
	}
	if e.Status == event.Skipped {
		return text + ": " + clean(e.Text)
	}
	text += " " + seconds(e.Seconds)
	if e.Error != nil {
		text += ": " + clean(why(e.Error))
	}
	return text
}

// why is the first line of an error without the host, which stands beside it.
func why(err error) string {
	first, _, _ := strings.Cut(explain(err).what, "\n")
	return first
}

func progress(done, total int64) string {
	if total <= 0 {
		return ""
	}
	return fmt.Sprintf("  %d%% of %s", min(done, total)*100/total, size(total))
}

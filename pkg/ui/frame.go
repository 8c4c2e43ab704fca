package ui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/event"
)

// model is what the live view knows of a run: a pure function of the events
// that it took.
type model struct {
	st      style
	story   story
	phase   string
	total   int            // steps to do
	steps   map[string]int // by host
	ended   map[string]int // steps by host
	all     int            // steps that ended
	hosts   int
	rows    map[string]*row // what goes on, by step or, while connecting, host
	failed  map[string]*row // by host
	warned  int
	summary bool
}

// row is a line of the live view.
type row struct {
	host, step, title string
	note              string // of the last progress
	done, total       int64
	start             time.Time
}

func newModel(st style) *model {
	return &model{st: st, ended: make(map[string]int), rows: make(map[string]*row), failed: make(map[string]*row)}
}

// take learns from an event and gives the lines to scroll above the live view.
func (m *model) take(e event.Event) string {
	tails := m.story.tails[e.Step]
	m.story.take(e)
	var b strings.Builder
	st := m.st
	switch e.Event {
	case event.RunStart:
		m.hosts = len(e.Hosts)
	case event.Phase:
		m.phase = clean(e.Title)
	case event.Graph:
		m.total, m.steps, m.all = int(e.Total), e.Steps, 0
		m.ended = make(map[string]int)
		m.hosts = max(m.hosts, len(e.Hosts))
	case event.HostState:
		m.host(&b, e)
	case event.StepStart:
		m.rows[e.Step] = &row{host: e.Host, step: short(e.Step, e.Host), title: clean(e.Title), start: e.Time}
	case event.Progress:
		if r := m.rows[e.Step]; r != nil {
			r.note, r.done, r.total = clean(e.Title), e.Done, e.Total
		}
	case event.Output:
		if st.Verbose {
			fmt.Fprintf(&b, "  %s %s\n", place(e.Host), st.paint(dim, "| "+clean(e.Text)))
		}
	case event.Notice:
		if st.Verbose {
			fmt.Fprintf(&b, "  %s %s\n", place(e.Host), clean(e.Text))
		}
	case event.Change:
		if st.Verbose && e.Change != nil {
			st.change(&b, place(e.Host)+"  ", *e.Change)
		}
	case event.Warning:
		m.warned++
		where := ""
		if e.Host != "" || e.Step != "" {
			where = place(e.Host) + ": "
		}
		fmt.Fprintf(&b, "%s %s%s\n", st.paint(yellow, st.char(caution)), where, clean(e.Text))
		if e.Hint != "" {
			fmt.Fprintf(&b, "  %s %s\n", st.paint(green, "fix:"), clean(e.Hint))
		}
	case event.StepDone:
		m.stepDone(&b, e, tails)
	case event.Summary:
		m.summary = true
		st.summary(&b, &m.story, e.SummaryData)
	}
	return b.String()
}

func (m *model) host(b *strings.Builder, e event.Event) {
	switch {
	case e.Error != nil || e.State == event.StateUnreachable:
		delete(m.rows, e.Host)
		m.failed[e.Host] = &row{host: e.Host, title: clean(e.State), start: e.Time}
		text := clean(e.State)
		if e.Error != nil {
			text += ": " + clean(why(e.Error))
		}
		fmt.Fprintf(b, "%s %s: %s\n", m.st.paint(red, m.st.char(bad)), place(e.Host), text)
	case e.State == event.StateReady:
		delete(m.rows, e.Host)
	default:
		start := e.Time
		if r := m.rows[e.Host]; r != nil {
			start = r.start
		}
		m.rows[e.Host] = &row{host: e.Host, title: clean(e.State), start: start}
	}
}

func (m *model) stepDone(b *strings.Builder, e event.Event, tails []string) {
	delete(m.rows, e.Step)
	m.all++
	m.ended[e.Host]++
	if e.Status != event.Failed {
		return
	}
	m.failed[e.Host] = &row{host: e.Host, step: short(e.Step, e.Host), title: clean(e.Title), start: e.Time}
	text := ""
	if e.Error != nil {
		text = ": " + clean(why(e.Error))
	}
	fmt.Fprintf(b, "%s %s: %s failed%s\n", m.st.paint(red, m.st.char(bad)), place(e.Host), clean(e.Title), text)
	for _, l := range tails {
		if !m.st.Verbose {
			fmt.Fprintf(b, "  %s\n", m.st.paint(dim, "| "+l))
		}
	}
}

// frame draws the live view: a header and a row for each host that is busy or
// failed, in rows-5 lines at the most, each shorter than cols.
func (m *model) frame(now time.Time, cols, rows int) []string {
	if m.summary || m.story.begin.Time.IsZero() {
		return nil
	}
	list := m.list()
	limit := max(1, rows-6)
	more := max(0, len(list)-limit)
	list = list[:len(list)-more]
	hosts, steps := 0, 0
	for _, l := range list {
		hosts, steps = max(hosts, width(place(l.host))), max(steps, width(l.step))
	}
	lines := []string{m.header(now, cols)}
	for _, l := range list {
		sign, tint, end := m.st.char(running), cyan, ""
		if m.failed[l.host] == l {
			sign, tint, end = m.st.char(bad), red, "failed"
			if l.title == event.StateUnreachable {
				end = ""
			}
		} else {
			end = seconds(now.Sub(l.start).Seconds())
		}
		front := fmt.Sprintf("%s  ", pad(place(l.host), min(hosts, 24)))
		if steps > 0 {
			front += pad(l.step, min(steps, 18)) + "  "
		}
		text := m.st.fill(front+m.doing(l), end, cols-5)
		lines = append(lines, "  "+m.st.paint(tint, sign)+" "+text)
	}
	if more > 0 {
		lines[len(lines)-1] = "    " + m.st.cut(fmt.Sprintf("%s %d more", m.st.char(ellipsis), more+1), cols-5)
	}
	return lines
}

// list gives the rows: failed first, then the slowest. Where there are many
// failures, half of the screen stays with what still runs.
func (m *model) list() []*row {
	var list []*row
	for _, r := range m.failed {
		list = append(list, r)
	}
	for key, r := range m.rows {
		if m.failed[r.host] == nil || key != r.host {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *row) int {
		af, bf := m.failed[a.host] == a, m.failed[b.host] == b
		if af != bf {
			return map[bool]int{true: -1, false: 1}[af]
		}
		if c := a.start.Compare(b.start); c != 0 {
			return c
		}
		return strings.Compare(a.host+a.step, b.host+b.step)
	})
	return list
}

func (m *model) doing(r *row) string {
	if r.total > 0 && r.done < r.total {
		return fmt.Sprintf("%s %s %d%%", r.note, m.st.bar(r.done, r.total, 12), r.done*100/r.total)
	}
	if r.note != "" && r.total == 0 {
		return r.title + ": " + r.note
	}
	return r.title
}

func (m *model) header(now time.Time, cols int) string {
	parts := []string{strings.TrimSpace(clean(m.story.command) + " " + clean(m.story.cluster))}
	if m.phase != "" {
		parts = append(parts, m.phase)
	}
	if m.total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d steps", m.all, m.total))
	}
	hosts := count(m.hosts, "host")
	var counts []string
	if n := m.finished(); n > 0 {
		counts = append(counts, fmt.Sprintf("%d done", n))
	}
	if n := len(m.failed); n > 0 {
		counts = append(counts, fmt.Sprintf("%d failed", n))
	}
	if len(counts) > 0 {
		hosts += ": " + strings.Join(counts, ", ")
	}
	parts = append(parts, hosts)
	if m.warned > 0 {
		parts = append(parts, count(m.warned, "warning"))
	}
	parts = append(parts, seconds(now.Sub(m.story.begin.Time).Seconds()))
	return m.st.paint(bold, m.st.cut(strings.Join(parts, " "+m.st.char(dot)+" "), cols-1))
}

// finished counts the hosts that have ended all their steps well.
func (m *model) finished() (n int) {
	for host, steps := range m.steps {
		if host != "" && m.failed[host] == nil && m.ended[host] >= steps {
			n++
		}
	}
	return n
}

// fill puts end at the right side of n columns and cuts text to fit before it.
func (st style) fill(text, end string, n int) string {
	room := n - width(end) - 1
	if end == "" || room < 8 {
		return st.cut(text, max(1, n))
	}
	return pad(st.cut(text, room), room) + " " + end
}

package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/event"
)

// timeline is a run as bars over time.
type timeline struct {
	Run, Command, Cluster, Who, Result, Tone string

	Start   time.Time
	Seconds float64
	Changed int
	Hosts   int
	Phases  []phase
	Ticks   []tick
	Lanes   []lane
	Chain   []*bar // that set the pace, first to last
	Bars    []*bar // all, by begin
}

// phase is a colour, and how long work of it was going on anywhere.
type phase struct {
	Name  string
	Color int
	Wall  float64 // seconds
	Share float64 // percent of all phases' sum
}

type tick struct {
	Left  float64 // percent
	Label string
}

// lane is what one host did. Rows are more than one where bars overlap.
type lane struct {
	Name   string // "" is the run itself, before its steps
	Status event.Status
	Error  string
	Rows   int
	Bars   []*bar
	Busy   float64 // seconds in which something was done
	Idle   float64 // seconds between the first bar and the last without work
}

// bar is a step, or a stage of the run before there are steps.
type bar struct {
	Host, Title, Phase string
	Color, Row         int
	Status             event.Status
	Changes            int
	Begin, End         float64 // seconds from the run's beginning
	Left, Width        float64 // percent
	Pace               bool    // on the chain that set the pace
	Label              bool    // there is room for the title
	Error              string
}

// Seconds that the bar is long.
func (b *bar) Seconds() float64 { return b.End - b.Begin }

// Kind is the status as a word for the style.
func (b *bar) Kind() string { return strings.ReplaceAll(string(b.Status), " ", "-") }

// Tip is the bar in words.
func (b *bar) Tip() string {
	parts := []string{place(b.Host) + ": " + b.Title, fmt.Sprintf("%s, from %s to %s", seconds(b.Seconds()), seconds(b.Begin), seconds(b.End))}
	if b.Changes > 0 {
		parts = append(parts, count(b.Changes, "change"))
	}
	if b.Status != "" && b.Status != event.OK && b.Status != event.Changed {
		parts = append(parts, string(b.Status))
	}
	return strings.Join(append(parts, nonempty(b.Error)...), "\n")
}

// unfinished is the status of a bar that the record does not end.
const unfinished event.Status = "cut off"

// maxRows is how many rows of bars a lane has at most.
const maxRows = 4

// colors is how many the page's style has.
const colors = 10

func place(host string) string {
	if host == "" {
		return "cluster"
	}
	return host
}

// newTimeline reads a record, also one that was cut. nil without events.
func newTimeline(events []event.Event) *timeline {
	if len(events) == 0 {
		return nil
	}
	r := &reader{t: &timeline{Result: string(unfinished), Tone: "warn", Start: events[0].Time.UTC()}, open: map[string]*bar{}, meet: map[string]*bar{}, lanes: map[string]*lane{}}
	for _, e := range events {
		r.take(e)
	}
	return r.finish()
}

// reader turns events into bars.
type reader struct {
	t     *timeline
	now   float64
	stage *bar            // of the run as a whole
	open  map[string]*bar // steps that run
	meet  map[string]*bar // hosts that are being connected
	lanes map[string]*lane
	order []string // hosts as the run names them
	ended bool
}

// runLane is no host's name.
const runLane = "\x00run"

func (r *reader) take(e event.Event) {
	r.now = max(r.now, e.Time.Sub(r.t.Start).Seconds())
	switch e.Event {
	case event.RunStart:
		r.t.Run, r.t.Command, r.t.Cluster, r.t.Who = e.Run, e.Command, e.Cluster, e.User
		r.order = e.Hosts
		r.t.Hosts = len(e.Hosts)
	case event.Phase:
		r.endStage()
		r.stage = r.begin(runLane, e.Title, e.Title)
	case event.Graph:
		r.endStage()
	case event.HostState:
		if b := r.meet[e.Host]; b != nil && (e.State == "connected" || e.State == event.StateReady || e.State == event.StateUnreachable) {
			r.end(b, event.OK)
			if e.State == event.StateUnreachable {
				b.Status = event.Unreachable
			}
			if e.Error != nil {
				b.Error = e.Error.Error()
			}
			delete(r.meet, e.Host)
		} else if b == nil && e.State == "connecting" {
			r.meet[e.Host] = r.begin(e.Host, "connect", "connect")
		}
	case event.StepStart:
		r.open[e.Step] = r.begin(e.Host, e.Title, e.Phase)
	case event.StepDone:
		b := r.open[e.Step]
		if b == nil {
			return // skipped: it never began
		}
		r.end(b, e.Status)
		b.Changes = e.Changes
		if e.Error != nil {
			b.Error = e.Error.Error()
		}
		delete(r.open, e.Step)
	case event.Summary:
		r.endStage()
		r.ended = true
		r.summary(e)
	}
}

func (r *reader) summary(e event.Event) {
	r.t.Result, r.t.Tone = string(e.Status), "good"
	if e.Status == event.Failed || e.Error != nil {
		r.t.Result, r.t.Tone = "failed", "bad"
	}
	if e.SummaryData == nil {
		return
	}
	r.t.Changed = e.Changed
	for _, h := range e.Results {
		l := r.lane(h.Host)
		l.Status = h.Status
		if h.Error != nil {
			l.Error = h.Error.Error()
		} else if h.Because != "" {
			l.Error = "because of " + h.Because
		}
	}
}

func (r *reader) lane(host string) *lane {
	l := r.lanes[host]
	if l == nil {
		l = &lane{Name: place(host)}
		if host == runLane {
			l.Name = "kforge"
		}
		r.lanes[host] = l
	}
	return l
}

func (r *reader) begin(host, title, phase string) *bar {
	b := &bar{Host: host, Title: title, Phase: phase, Begin: r.now, End: r.now, Status: unfinished}
	if host == runLane {
		b.Host = "kforge"
	}
	b.Color = r.color(phase)
	l := r.lane(host)
	l.Bars = append(l.Bars, b)
	r.t.Bars = append(r.t.Bars, b)
	return b
}

func (r *reader) end(b *bar, s event.Status) { b.End, b.Status = r.now, s }

func (r *reader) endStage() {
	if r.stage != nil {
		r.end(r.stage, event.OK)
		r.stage = nil
	}
}

// color numbers the phases in the order they come.
func (r *reader) color(name string) int {
	for _, p := range r.t.Phases {
		if p.Name == name {
			return p.Color
		}
	}
	c := len(r.t.Phases) % colors
	r.t.Phases = append(r.t.Phases, phase{Name: name, Color: c})
	return c
}

func (r *reader) finish() *timeline {
	t := r.t
	t.Seconds = r.now
	for _, b := range t.Bars {
		if b.Status == unfinished {
			b.End = r.now
		}
	}
	scale := 100 / max(t.Seconds, 0.001)
	for _, b := range t.Bars {
		b.Left, b.Width = round2(b.Begin*scale), round2(max(b.Seconds()*scale, 0.1))
		b.Left = min(b.Left, 99.8)
		b.Label = b.Width > 4 // narrower ones would show a letter or two
	}
	t.Chain = chain(t.Bars)
	for i := range t.Phases {
		t.Phases[i].Wall = wall(t.Bars, func(b *bar) bool { return b.Phase == t.Phases[i].Name })
	}
	sum := 0.0
	for _, p := range t.Phases {
		sum += p.Wall
	}
	for i := range t.Phases {
		t.Phases[i].Share = round2(100 * t.Phases[i].Wall / max(sum, 0.001))
	}
	t.Ticks = ticks(t.Seconds)
	names := append([]string{runLane, ""}, r.order...)
	var others []string
	for name := range r.lanes {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range append(names, others...) {
		if l := r.lanes[name]; l != nil {
			l.stack()
			t.Lanes = append(t.Lanes, *l)
		}
	}
	return t
}

// stack puts overlapping bars into rows and measures the lane.
func (l *lane) stack() {
	var ends []float64
	for _, b := range l.Bars {
		b.Row = slices.IndexFunc(ends, func(end float64) bool { return end <= b.Begin+0.002 })
		if b.Row < 0 {
			b.Row = len(ends)
			ends = append(ends, 0)
		}
		ends[b.Row] = b.End
	}
	for _, b := range l.Bars {
		b.Row = min(b.Row, maxRows-1) // the rest lie on each other
	}
	l.Rows = min(max(len(ends), 1), maxRows)
	l.Busy = wall(l.Bars, func(*bar) bool { return true })
	if n := len(l.Bars); n > 0 {
		l.Idle = max(slices.Max(ends)-l.Bars[0].Begin-l.Busy, 0)
	}
}

// wall is in how many seconds at least one of the bars was going on.
func wall(bars []*bar, want func(*bar) bool) float64 {
	total, until := 0.0, 0.0
	for _, b := range bars { // by begin
		if want(b) && b.End > until {
			total += b.End - max(b.Begin, until)
			until = b.End
		}
	}
	return total
}

// ticks gives some eight round times.
func ticks(length float64) (out []tick) {
	step := 0.1
	for _, s := range []float64{0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600} {
		if length/step <= 9 {
			break
		}
		step = s
	}
	for i := 0; ; i++ {
		at := float64(i) * step
		if at > length || length <= 0 || i > 200 {
			return out
		}
		label := fmt.Sprintf("%g s", math.Round(at*10)/10)
		if at >= 60 {
			label = fmt.Sprintf("%d:%02d", int(at)/60, int(at)%60)
		}
		out = append(out, tick{Left: round2(100 * at / length), Label: label})
	}
}

// chain follows the run back from its end: what ended last, what ended last
// before that began, and so on. The record does not tell what waited for what,
// and this is it but for chance.
func chain(bars []*bar) (out []*bar) {
	var at *bar
	for _, b := range bars {
		if at == nil || b.End > at.End {
			at = b
		}
	}
	for at != nil {
		at.Pace = true
		out = append(out, at)
		var before *bar
		for _, b := range bars {
			if b.Pace || b.End > at.Begin+0.002 || b.Begin >= at.Begin {
				continue
			}
			// Of those that ended together, the same host's, then the longest.
			if before == nil || b.End > before.End+0.002 || (b.End > before.End-0.002 && rank(b, at) > rank(before, at)) {
				before = b
			}
		}
		at = before
	}
	slices.Reverse(out)
	return out
}

func rank(b, next *bar) float64 {
	if b.Host == next.Host {
		return 1e9
	}
	return b.Seconds()
}

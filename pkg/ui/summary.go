package ui

import (
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/spec"
)

// folded is above how many hosts the summary puts those together that ended
// alike.
const folded = 20

// story is what a renderer keeps of a run to tell at its end.
type story struct {
	command, cluster string
	hosts            int      // that the run is about
	phases           []string // in the order they began
	changes          map[spec.Action]int
	begin, last      event.Event // for their times
	tails            map[string][]string
}

// tail is how many of the last lines a command printed are shown when its step
// fails.
const tail = 10

func (s *story) take(e event.Event) {
	if s.begin.Time.IsZero() {
		s.begin = e
	}
	s.last = e
	switch e.Event {
	case event.RunStart:
		s.command, s.cluster, s.hosts = e.Command, e.Cluster, len(e.Hosts)
	case event.StepStart:
		if e.Phase != "" && !slices.Contains(s.phases, e.Phase) {
			s.phases = append(s.phases, e.Phase)
		}
	case event.Output:
		if s.tails == nil {
			s.tails = make(map[string][]string)
		}
		lines := append(s.tails[e.Step], clean(e.Text))
		s.tails[e.Step] = lines[max(0, len(lines)-tail):]
	case event.StepDone:
		delete(s.tails, e.Step)
	case event.Change:
		if s.changes == nil {
			s.changes = make(map[spec.Action]int)
		}
		if e.Change != nil {
			s.changes[e.Change.Action]++
		}
	}
}

// elapsed is the time from the first event to the last, in seconds.
func (s *story) elapsed() float64 { return s.last.Time.Sub(s.begin.Time).Seconds() }

// summary tells how a run ended: results, errors, what changed, time, what next.
func (st style) summary(b *strings.Builder, s *story, d *event.SummaryData) {
	if d == nil {
		return
	}
	b.WriteByte('\n')
	if len(d.Results) > 0 {
		st.results(b, d.Results)
		b.WriteByte('\n')
	}
	var errs []error
	for _, r := range d.Results {
		if r.Error != nil {
			errs = append(errs, r.Error)
		}
	}
	if len(errs) > 0 {
		st.errors(b, errs)
		b.WriteByte('\n')
	}
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name, text})
		}
	}
	if len(d.NotAsked) > 0 {
		add("not asked", hostList(d.NotAsked)+", left as they are")
	}
	add("changes", changesLine(s.changes))
	add("time", phaseLine(s.phases, d.Phases))
	add("inventory", d.Inventory)
	add("kubeconfig", d.Kubeconfig)
	add("log", d.Log)
	for i, n := range d.Next {
		add([]string{"next", ""}[min(i, 1)], n)
	}
	// Paths and commands are there to be copied: they are not cut.
	wide := style{st.Options}
	wide.Width = 0
	wide.table(b, nil, rows, func(_, col int) color { return []color{dim, none}[col] })
	if len(rows) > 0 {
		b.WriteByte('\n')
	}
	st.verdict(b, s, d)
}

// verdict is the one line to read when only one is read.
func (st style) verdict(b *strings.Builder, s *story, d *event.SummaryData) {
	hosts, lost := 0, false
	for _, r := range d.Results {
		if r.Host != "" {
			hosts++
		}
		lost = lost || r.Status == event.Failed || r.Status == event.Unreachable
	}
	hosts = max(hosts, s.hosts) // a run may end before it has a result of each
	name := strings.TrimSpace(clean(s.command) + " " + clean(s.cluster))
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{d.Failed, "failed"}, {d.Unreachable, "unreachable"}, {d.Skipped, "skipped"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	sign, tint := st.char(good), green
	switch {
	case lost || d.Failed > 0 || d.Unreachable > 0 || s.last.Error != nil:
		sign, tint = st.char(bad), red
	case d.Skipped > 0:
		sign, tint = st.char(caution), yellow
	}
	done := count(d.Changed, "change")
	if d.Changed == 0 {
		done = "nothing changed"
	}
	text := fmt.Sprintf("%s: %s on %s", name, done, count(hosts, "host"))
	if len(parts) > 0 {
		text = fmt.Sprintf("%s: %s of %s; %s", name, strings.Join(parts, ", "), count(hosts, "host"), done)
	}
	fmt.Fprintf(b, "%s %s in %s\n", st.paint(tint, sign), text, seconds(s.elapsed()))
}

// results is the table of hosts. In a big fleet those that ended alike are one
// row; what failed keeps a row of its own.
func (st style) results(b *strings.Builder, results []event.HostResult) {
	type row struct {
		first event.HostResult
		hosts []string
	}
	var rows []*row
	alike := make(map[string]*row)
	for _, r := range results {
		key := string(r.Status) + "\x00" + r.Because
		fold := len(results) > folded && !st.Verbose && r.Host != "" && r.Status != event.Failed && r.Status != event.Unreachable
		if at := alike[key]; fold && at != nil {
			at.hosts = append(at.hosts, r.Host)
			at.first.Changes += r.Changes
			at.first.Seconds = max(at.first.Seconds, r.Seconds)
			continue
		}
		at := &row{first: r, hosts: []string{r.Host}}
		rows = append(rows, at)
		if fold {
			alike[key] = at
		}
	}
	cells := make([][]string, len(rows))
	for i, r := range rows {
		sign, _ := st.status(r.first.Status)
		name := place(r.first.Host)
		if len(r.hosts) > 1 {
			name = hostList(r.hosts)
		}
		note := r.first.Because
		if r.first.Step != "" {
			note = "at: " + r.first.Step
		}
		took := ""
		if r.first.Seconds > 0 {
			took = seconds(r.first.Seconds)
		}
		cells[i] = []string{name, sign + " " + string(r.first.Status), fmt.Sprint(r.first.Changes), took, note}
	}
	st.table(b, []string{"host", "result", "changes", "time", ""}, cells, func(row, col int) color {
		if col == 1 {
			_, c := st.status(rows[row].first.Status)
			return c
		}
		return none
	})
}

func changesLine(changes map[spec.Action]int) string {
	var parts []string
	for _, p := range []struct {
		a    spec.Action
		what string
	}{
		{spec.Create, "created"}, {spec.Update, "updated"}, {spec.Delete, "deleted"}, {spec.Import, "imported"}, {spec.Load, "loaded"},
		{spec.Start, "started"}, {spec.Stop, "stopped"}, {spec.Restart, "restarted"}, {spec.Run, "run"},
	} {
		if n := changes[p.a]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// phaseLine gives the phases of steps in the order they began. Before them come,
// by name, those that have no steps: connecting, reading facts.
func phaseLine(order []string, phases map[string]float64) string {
	names := slices.Clone(order)
	var rest []string
	for name := range phases {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	var parts []string
	for _, name := range append(rest, names...) {
		if s, ok := phases[name]; ok {
			parts = append(parts, clean(name)+" "+seconds(s))
		}
	}
	return strings.Join(parts, ", ")
}

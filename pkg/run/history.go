package run

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// Results of runs whose record has no end.
const (
	CutOff  event.Status = "cut off" // the machine went down, or kforge was killed
	Running event.Status = "running"
)

// Record is a run as its record on the admin's machine tells it.
type Record struct {
	Run         string       `json:"run"`
	Dir         string       `json:"dir"`
	Time        time.Time    `json:"time"` // of its beginning, UTC
	Command     string       `json:"command"`
	Cluster     string       `json:"cluster"`
	Version     string       `json:"version,omitempty"`
	User        string       `json:"user,omitempty"` // name@machine, "" in old records
	Result      event.Status `json:"result"`
	Hosts       int          `json:"hosts"`
	Changed     int          `json:"changed"`
	Failed      int          `json:"failed"` // hosts
	Unreachable int          `json:"unreachable"`
	Seconds     float64      `json:"seconds"`
}

// Past is one run in full.
type Past struct {
	Record
	Error   *diag.Error        `json:"error,omitempty"`
	Results []event.HostResult `json:"results,omitempty"`
	Changes []HostChange       `json:"changes,omitempty"`
}

// HostChange is a change that a run made; Host is "" for the cluster.
type HostChange struct {
	Time time.Time `json:"time"`
	Host string    `json:"host"`
	Step string    `json:"step"`
	spec.Change
}

// History lists the runs recorded in dir, newest first; cluster "" is all
// clusters, limit 0 all runs. Records that are damaged are listed as cut off.
func History(dir, cluster string, limit int) ([]Record, error) {
	names, err := recorded(dir)
	if err != nil {
		return nil, err
	}
	out := []Record{}
	for _, name := range names {
		if limit > 0 && len(out) == limit {
			break
		}
		r, err := record(dir, name)
		if diag.KindOf(err) == diag.NotFound {
			continue // another run has just tidied up
		}
		if err != nil {
			return nil, err
		}
		if cluster == "" || r.Cluster == cluster {
			out = append(out, r)
		}
	}
	return out, nil
}

// recorded gives the names of runs, newest first: they begin with their time.
func recorded(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, diag.Wrap(diag.Permission, "list the records of runs", err)
	}
	var names []string
	for _, e := range entries {
		if _, err := begin(e.Name()); err == nil && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// begin is the time in a run's name.
func begin(run string) (time.Time, error) {
	stamp, _, _ := strings.Cut(run, "-")
	return time.Parse("20060102T150405Z", stamp)
}

// record reads the two ends of a record, and all of it only when it was cut.
func record(dir, name string) (Record, error) {
	r := Record{Run: name, Dir: filepath.Join(dir, name), Result: CutOff}
	r.Time, _ = begin(name) // zero when the folder was renamed: the first event tells too
	first, summary, err := journal.Ends(r.Dir)
	if err != nil {
		return r, err
	}
	if first != nil && first.Event == event.RunStart {
		r.Time, r.Command, r.Cluster, r.Version, r.User, r.Hosts = first.Time, first.Command, first.Cluster, first.Version, first.User, len(first.Hosts)
		if first.Run != "" {
			r.Run = first.Run
		}
	}
	if summary != nil {
		r.Seconds, r.Result = summary.Seconds, summary.Status
		if d := summary.SummaryData; d != nil {
			r.Changed, r.Failed, r.Unreachable = d.Changed, d.Failed, d.Unreachable
		}
		return r, nil
	}
	if journal.Live(r.Dir) {
		r.Result = Running
	}
	events, err := journal.Read(r.Dir)
	if err != nil {
		return r, nil // no more is known
	}
	for _, e := range events {
		r.Seconds = e.Time.Sub(r.Time).Seconds()
		switch {
		case e.Event == event.Change:
			r.Changed++
		case e.Event == event.StepDone && e.Status == event.Failed:
			r.Failed++
		case e.Event == event.HostState && e.State == event.StateUnreachable:
			r.Unreachable++
		}
	}
	return r, nil
}

// FindRun gives the folder of a run: name is the folder itself, the run's name
// or the end of it. found is false when there is none.
func FindRun(dir, name string) (folder string, found bool, err error) {
	if _, err := os.Stat(filepath.Join(name, journal.EventsFile)); err == nil {
		return name, true, nil
	}
	names, err := recorded(dir)
	if err != nil {
		return "", false, err
	}
	var match []string
	for _, n := range names {
		if n == name || strings.HasSuffix(n, "-"+name) {
			match = append(match, n)
		}
	}
	switch {
	case len(match) > 1:
		return "", false, diag.New(diag.Invalid, "", "%q is the end of %d runs: %s", name, len(match), strings.Join(match, ", "))
	case len(match) == 1:
		return filepath.Join(dir, match[0]), true, nil
	}
	return "", false, nil
}

// ReadRun reads one run in full.
func ReadRun(folder string) (*Past, error) {
	r, err := record(filepath.Dir(folder), filepath.Base(folder))
	if err != nil {
		return nil, err
	}
	events, err := journal.Read(folder)
	if err != nil {
		return nil, err
	}
	p := &Past{Record: r}
	for _, e := range events {
		switch {
		case e.Event == event.Change && e.Change != nil:
			p.Changes = append(p.Changes, HostChange{e.Time, e.Host, e.Step, *e.Change})
		case e.Event == event.Summary:
			p.Error = e.Error
			if e.SummaryData != nil {
				p.Results = e.Results
			}
		}
	}
	return p, nil
}

// HostEntry is a line of a host's own journal: a change that kforge made
// there, or tried to, from whichever admin's machine.
type HostEntry struct {
	Time     time.Time   `json:"time"`
	Run      string      `json:"run"`
	Version  string      `json:"version"`
	Resource string      `json:"resource"`
	Action   spec.Action `json:"action"`
	Detail   string      `json:"detail,omitempty"`
	Outcome  string      `json:"outcome"` // "ok" or the error
}

// hostJournal is where the agent keeps it; the one before has .1 at its end.
const hostJournal = "/var/lib/kforge/journal.jsonl"

// HostHistory reads a host's journal in read-only mode, newest first; limit 0
// is all of it.
func HostHistory(ctx context.Context, e *Env, file, name string, limit int, warn event.Sink) ([]HostEntry, error) {
	c, _, err := inventory.Load(file)
	if err != nil {
		return nil, err
	}
	if _, ok := c.Host(name); !ok {
		return nil, diag.New(diag.Invalid, "", "the inventory has no host %q; it has %s", name, strings.Join(hostNames(c), ", "))
	}
	f, err := newFleet(e, c, wire.ReadOnly, wire.Lock{}, warn)
	if err != nil {
		return nil, err
	}
	defer f.close()
	out := []HostEntry{}
	s := &session{env: e, cluster: c} // one without a record
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		h, err := f.host(ctx, name)
		if err != nil {
			return err
		}
		for _, file := range []string{hostJournal, hostJournal + ".1"} {
			raw, err := h.Read(ctx, file, wire.MaxRead)
			if diag.KindOf(err) == diag.NotFound {
				return nil // nothing was changed there before
			}
			if err != nil {
				return err
			}
			if out = append(out, entries(raw)...); limit > 0 && len(out) >= limit {
				out = out[:limit]
				return nil
			}
		}
		return nil
	})
	return out, err
}

// entries reads lines, newest first; what was cut when a machine went down is
// left out.
func entries(raw []byte) (out []HostEntry) {
	for line := range bytes.Lines(raw) {
		var e HostEntry
		if json.Unmarshal(line, &e) == nil && e.Resource != "" {
			out = append(out, e)
		}
	}
	slices.Reverse(out)
	return out
}

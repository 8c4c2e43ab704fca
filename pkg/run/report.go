package run

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/report"
	"kforge.dev/kforge/pkg/wire"
)

// ReportOptions say what a report is made of.
type ReportOptions struct {
	// Inventory may be "" when Run is named and Offline is set.
	Inventory string
	// Run is a record, as FindRun takes it; "" is the cluster's last.
	Run string
	// Offline asks no host: the record is all there is.
	Offline bool
	// Dir holds the records.
	Dir string
}

// Report gathers what the page shows. Hosts that are not reached are on it
// with the reason, and are the error, as they are of other commands: the input
// is good whenever it is not nil.
func Report(ctx context.Context, e *Env, o ReportOptions, warn event.Sink) (*report.Input, error) {
	in := &report.Input{Version: e.Version, Made: time.Now().UTC(), Offline: o.Offline}
	var c *inventory.Cluster
	if o.Inventory != "" {
		var err error
		if c, _, err = inventory.Load(o.Inventory); err != nil {
			return nil, err
		}
		in.Cluster = c.Name
	}
	var err error
	if in.Run, err = lastRun(o, in.Cluster); err != nil {
		return nil, err
	}
	if o.Offline && len(in.Run) == 0 {
		return nil, diag.New(diag.NotFound, "make report", "there is no record of a run of cluster %s in %s", in.Cluster, o.Dir).
			WithHint("leave --offline out: the hosts tell what they are")
	}
	if c != nil {
		for _, h := range c.Hosts {
			in.Hosts = append(in.Hosts, report.Host{Name: h.Name, Address: h.Address, Class: h.Class, Roles: h.Roles})
		}
	}
	if o.Offline {
		fromRecord(in)
		return in, nil
	}
	return in, askHosts(ctx, e, c, in, warn)
}

// askHosts fills in facts and findings from the hosts themselves.
func askHosts(ctx context.Context, e *Env, c *inventory.Cluster, in *report.Input, warn event.Sink) error {
	f, err := newFleet(e, c, wire.ReadOnly, wire.Lock{}, warn)
	if err != nil {
		return err
	}
	defer f.close()
	s := &session{env: e, cluster: c, left: f.unreachable} // one without a record
	if err := s.beforeSteps(ctx, f.connect); err != nil {
		return err
	}
	told := map[string]*facts.Host{}
	for i, h := range in.Hosts {
		if err := f.unreachable[h.Name]; err != nil {
			in.Hosts[i].Error, in.Hosts[i].Hint = strings.TrimPrefix(err.Error(), h.Name+": "), diag.Hint(err)
		} else if got := f.facts[h.Name]; got != nil {
			in.Hosts[i].Facts, told[h.Name] = got, got
		}
	}
	in.Findings = preflight.Check(preflight.Input{Cluster: c, Facts: told, FallbackDNS: ownResolvers()})
	return s.leftErr()
}

// lastRun reads the run that is named, else the cluster's last that had steps,
// else its last. It gives nothing when there is none.
func lastRun(o ReportOptions, cluster string) ([]event.Event, error) {
	if o.Run != "" {
		folder, found, err := FindRun(o.Dir, o.Run)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, diag.New(diag.NotFound, "", "there is no run %q in %s", o.Run, o.Dir).WithHint("see `kforge history`")
		}
		return journal.Read(folder)
	}
	names, err := recorded(o.Dir)
	if err != nil {
		return nil, err
	}
	var newest []event.Event
	for _, name := range names {
		first, _, err := journal.Ends(filepath.Join(o.Dir, name))
		if err != nil || first == nil || first.Cluster != cluster {
			continue
		}
		if newest != nil && first.Command == "plan" {
			continue // plans have no steps
		}
		events, err := journal.Read(filepath.Join(o.Dir, name))
		if err != nil {
			continue // damaged: an older one is shown
		}
		for _, e := range events {
			if e.Event == event.StepStart {
				return events, nil
			}
		}
		if newest == nil {
			newest = events
		}
	}
	return newest, nil
}

// fromRecord takes hosts and findings from the record of the run.
func fromRecord(in *report.Input) {
	add := func(s preflight.Severity, host, rule, text, hint string) {
		in.Findings = append(in.Findings, preflight.Finding{Rule: rule, Severity: s, Host: host, Message: text, Hint: hint})
	}
	for _, e := range in.Run {
		switch e.Event {
		case event.RunStart:
			if in.Cluster == "" {
				in.Cluster = e.Cluster
			}
			if len(in.Hosts) == 0 {
				for _, name := range e.Hosts {
					in.Hosts = append(in.Hosts, report.Host{Name: name})
				}
			}
		case event.Warning:
			add(preflight.Warning, e.Host, "", e.Text, e.Hint)
		case event.Summary:
			if e.SummaryData == nil {
				continue
			}
			for _, r := range e.Results {
				if r.Error != nil {
					add(preflight.Error, r.Host, rule(r.Error), strings.TrimPrefix(r.Error.Error(), r.Host+": "), r.Error.Hint)
				}
			}
		}
	}
}

// rule is the name of the check that an error came from, "" when from none.
func rule(err *diag.Error) string {
	name, ok := strings.CutPrefix(err.Op, "preflight ")
	if !ok {
		return ""
	}
	return name
}

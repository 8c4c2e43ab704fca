package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
)

// Result of a run.
type Result struct {
	// Hosts is how each host ended, in order; the cluster ("") is last when it
	// had steps.
	Hosts []event.HostResult
	// Changed counts the changes made on hosts and in the cluster.
	Changed int
	// Phases gives seconds of wall time by phase: first start to last end.
	Phases map[string]float64
	// Errors are the root errors in the order of Hosts; what was only skipped
	// because of them is not told.
	Errors []*diag.Error
	// Stopped: steps were left out because the run was stopped or cancelled.
	Stopped bool
}

// Summary gives the counts as data of the last event. The caller adds what the
// engine does not know: mutating requests, kubeconfig, log and what next.
func (r *Result) Summary() *event.SummaryData {
	d := &event.SummaryData{Changed: r.Changed, Results: r.Hosts, Phases: r.Phases}
	for _, h := range r.Hosts {
		switch h.Status {
		case event.Failed:
			d.Failed++
		case event.Unreachable:
			d.Unreachable++
		case event.Skipped:
			d.Skipped++
		}
	}
	return d
}

// Err is nil when everything ended well. It is of kind partial when some hosts
// failed while others finished, and then holds the root errors, as it does
// otherwise: the cluster or all hosts failed. A run that was stopped without a
// failure gives kind canceled.
func (r *Result) Err() error {
	var finished, bad, total int
	clusterFailed := false
	for _, h := range r.Hosts {
		good := h.Status == event.OK || h.Status == event.Changed
		if h.Host == "" {
			clusterFailed = h.Status == event.Failed
			continue
		}
		total++
		switch {
		case good:
			finished++
		case h.Status != event.Skipped:
			bad++
		}
	}
	errs := make([]error, len(r.Errors))
	for i, e := range r.Errors {
		errs[i] = e
	}
	switch {
	case r.Stopped:
		stopped := diag.New(diag.Canceled, "", "the run was stopped before it was done").
			WithHint("run the same command again: it goes on from what it finds")
		return errors.Join(append([]error{stopped}, errs...)...)
	case len(errs) == 0:
		return nil
	case finished > 0 && !clusterFailed:
		return &diag.Error{Kind: diag.Partial, Msg: fmt.Sprintf("%d of %d hosts failed", bad, total), Err: errors.Join(errs...)}
	default:
		return errors.Join(errs...)
	}
}

// result gathers what the loop kept.
func (r *run) result(ctx context.Context) *Result {
	out := &Result{Phases: r.phases()}
	byHost := make(map[string][]graph.Step)
	for _, s := range r.cfg.Graph.Steps() {
		byHost[s.Host] = append(byHost[s.Host], s)
		if _, because := r.sched.Outcome(s.ID); because == graph.Stopped {
			out.Stopped = true
		}
	}
	for _, host := range r.hosts() {
		res := event.HostResult{Host: host, Status: event.OK}
		if err, bad := r.cfg.Unreachable[host]; bad {
			if err == nil {
				err = diag.New(diag.Unreachable, "connect", "no connection")
			}
			d := about(err, graph.Step{Host: host})
			res.Status, res.Error = event.Unreachable, d
			out.Errors = append(out.Errors, d)
		} else if steps := byHost[host]; len(steps) > 0 || host != "" {
			out.Errors = append(out.Errors, r.host(&res, steps)...)
		} else {
			continue
		}
		out.Changed += res.Changes
		out.Hosts = append(out.Hosts, res)
	}
	// A step that the second Ctrl-C cut off failed with the context's error.
	if ctx.Err() != nil && slices.ContainsFunc(out.Errors, func(e *diag.Error) bool { return diag.KindOf(e) == diag.Canceled }) {
		out.Stopped = true
		out.Errors = slices.DeleteFunc(out.Errors, func(e *diag.Error) bool { return diag.KindOf(e) == diag.Canceled })
	}
	return out
}

// host fills in the result of one host, or of the cluster, from its steps, and
// gives the errors of its steps.
func (r *run) host(res *event.HostResult, steps []graph.Step) (errs []*diag.Error) {
	var first, last time.Time
	for _, s := range steps {
		state, _ := r.sched.Outcome(s.ID)
		if state == graph.Skipped && res.Because == "" {
			res.Because = r.because(s)
		}
		kept := r.steps[s.ID]
		if kept == nil {
			continue
		}
		first, last = widen(first, last, kept)
		res.Changes += kept.changes
		if kept.err != nil {
			errs = append(errs, kept.err)
			if res.Error == nil {
				res.Step, res.Error = s.Title, kept.err
			}
		}
	}
	res.Seconds = last.Sub(first).Seconds()
	switch {
	case res.Error != nil:
		res.Status, res.Because = event.Failed, ""
	case res.Because != "":
		res.Status = event.Skipped
	case res.Changes > 0:
		res.Status = event.Changed
	}
	return errs
}

// hosts gives the order of the result.
func (r *run) hosts() []string {
	order := slices.Clone(r.cfg.Hosts)
	seen := make(map[string]bool)
	for _, h := range order {
		seen[h] = true
	}
	var lost []string
	for h := range r.cfg.Unreachable {
		lost = append(lost, h)
	}
	slices.Sort(lost)
	for _, h := range append(r.cfg.Graph.Hosts(), lost...) {
		if !seen[h] {
			seen[h] = true
			order = append(order, h)
		}
	}
	return append(order, "")
}

func (r *run) phases() map[string]float64 {
	type span struct{ first, last time.Time }
	spans := make(map[string]span)
	for _, s := range r.cfg.Graph.Steps() {
		kept := r.steps[s.ID]
		if kept == nil || s.Phase == "" {
			continue
		}
		sp := spans[s.Phase]
		sp.first, sp.last = widen(sp.first, sp.last, kept)
		spans[s.Phase] = sp
	}
	out := make(map[string]float64, len(spans))
	for phase, sp := range spans {
		out[phase] = sp.last.Sub(sp.first).Seconds()
	}
	return out
}

func widen(first, last time.Time, s *stepResult) (time.Time, time.Time) {
	if first.IsZero() || s.start.Before(first) {
		first = s.start
	}
	if s.end.After(last) {
		last = s.end
	}
	return first, last
}

package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/event"
)

// timing of a first apply, from its events. Its phases overlap: each host goes
// at its own pace.
func (r result) timing() (timing, error) {
	t := timing{Total: r.seconds(), Phases: spans(r.start, r.events)}
	for _, e := range r.events {
		if e.Event == event.StepDone && e.Host != "" && strings.HasSuffix(e.Step, "/ready") {
			t.Ready = max(t.Ready, e.Time.Sub(r.start).Seconds())
		}
	}
	if t.Ready == 0 {
		return timing{}, errors.New("read kforge's events: no node became ready")
	}
	return t, nil
}

// spans of the phases, by their beginning: what the run as a whole does before
// it has a graph, then from the first step's beginning to the last one's end.
func spans(start time.Time, events []event.Event) []span {
	var out []span
	find := func(name string, at float64) *span {
		if i := slices.IndexFunc(out, func(s span) bool { return s.Name == name }); i >= 0 {
			return &out[i]
		}
		out = append(out, span{name, at, at})
		return &out[len(out)-1]
	}
	open := "" // the phase that the run as a whole is in
	for _, e := range events {
		at := e.Time.Sub(start).Seconds()
		switch e.Event {
		case event.Phase, event.Graph, event.Summary:
			if open != "" {
				find(open, at).To = at
			}
			if open = ""; e.Event == event.Phase {
				open = e.Title
				find(open, at)
			}
		case event.StepStart, event.StepDone:
			s := find(e.Phase, at)
			s.To = max(s.To, at)
		}
	}
	slices.SortStableFunc(out, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	return out
}

package main

import (
	"fmt"
	"slices"
	"strconv"
)

// figure is one thing measured. A goal is an upper bound, or a lower one.
type figure struct {
	Name     string
	Value    float64
	Unit     string
	Decimals int      // of Value and Goal as they are shown
	Goal     *float64 // nil: none was set
	AtLeast  bool     // the goal is a lower bound
	Meaning  string   // one sentence for the page
}

// String is the line that is printed: NAME VALUE UNIT goal GOAL OK|SHORT.
func (f figure) String() string {
	return fmt.Sprintf("%s %s %s goal %s %s", f.Name, f.value(), f.Unit, f.goal(), f.verdict())
}

func (f figure) value() string { return strconv.FormatFloat(f.Value, 'f', f.Decimals, 64) }

func (f figure) goal() string {
	if f.Goal == nil {
		return "none"
	}
	bound := "<="
	if f.AtLeast {
		bound = ">="
	}
	return bound + strconv.FormatFloat(*f.Goal, 'f', -1, 64)
}

// verdict judges what was measured, not what rounding makes of it. A figure
// without a goal cannot fall short.
func (f figure) verdict() string {
	if f.Goal != nil && (f.Value > *f.Goal && !f.AtLeast || f.Value < *f.Goal && f.AtLeast) {
		return "SHORT"
	}
	return "OK"
}

// median of what f gives for each element; 0 of none.
func median[T any](list []T, f func(T) float64) float64 {
	values := make([]float64, 0, len(list))
	for _, v := range list {
		values = append(values, f(v))
	}
	slices.Sort(values)
	n := len(values)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}

// worst is the largest of what f gives for each element; 0 of none.
func worst[T any](list []T, f func(T) float64) float64 {
	var out float64
	for i, v := range list {
		if x := f(v); i == 0 || x > out {
			out = x
		}
	}
	return out
}

const mb = 1e6

func goal(v float64) *float64 { return &v }

// measuredAdd: what was kept from before has no worker added.
func (l labPart) measuredAdd() bool {
	return len(l.Pairs) > 0 && !slices.ContainsFunc(l.Pairs, func(p pair) bool { return p.Add.Floor.Total == 0 })
}

// figures of the lab are what the page and standard output tell, in this order.
// Times are medians, since a busy machine only ever adds; counts and memory are
// the worst that was seen.
func (l labPart) figures() []figure {
	pairs := l.Pairs
	list := []figure{
		{Name: "apply-ratio", Value: median(pairs, pair.applyRatio), Unit: "x", Decimals: 3, Goal: goal(1.15),
			Meaning: "apply-seconds over floor-seconds, pair by pair"},
		{Name: "apply-seconds", Value: median(pairs, func(p pair) float64 { return p.Apply.Total }), Unit: "s", Decimals: 2,
			Meaning: "`kforge apply`, from bare hosts to its exit"},
		{Name: "floor-seconds", Value: median(pairs, func(p pair) float64 { return p.Floor.Total }), Unit: "s", Decimals: 2,
			Meaning: "the floor, from the same bare hosts to the same end"},
		{Name: "ready-ratio", Value: median(pairs, pair.readyRatio), Unit: "x", Decimals: 3, Goal: goal(1.15),
			Meaning: "the same up to the last Ready node, before the wait for flannel and CoreDNS"},
		{Name: "second-apply-seconds", Value: median(pairs, func(p pair) float64 { return p.Second.Seconds }), Unit: "s", Decimals: 2, Goal: goal(3),
			Meaning: "`kforge apply` again, with nothing to do"},
		{Name: "second-apply-connections-per-host", Value: worst(pairs, func(p pair) float64 { return float64(p.Second.Connections) }), Unit: "connections", Goal: goal(1),
			Meaning: "connections that a host's sshd logged meanwhile; the busiest host"},
		{Name: "second-apply-sessions-per-host", Value: worst(pairs, func(p pair) float64 { return float64(p.Second.Sessions) }), Unit: "sessions", Goal: goal(3),
			Meaning: "commands and subsystems that a host's sshd started meanwhile; the busiest host"},
		{Name: "second-apply-mutating-requests", Value: worst(pairs, func(p pair) float64 { return float64(p.Second.Mutating) }), Unit: "requests", Goal: goal(0),
			Meaning: "requests that could have changed something"},
		{Name: "second-apply-changes", Value: worst(pairs, func(p pair) float64 { return float64(p.Second.Changes) }), Unit: "changes", Goal: goal(0),
			Meaning: "changes made"},
	}
	if l.measuredAdd() {
		list = append(list,
			figure{Name: "node-add-ratio", Value: median(pairs, pair.addRatio), Unit: "x", Decimals: 3, Goal: goal(1.2),
				Meaning: "node-add-seconds over what the floor takes for the same, pair by pair"},
			figure{Name: "node-add-seconds", Value: median(pairs, func(p pair) float64 { return p.Add.Kforge.Total }), Unit: "s", Decimals: 2,
				Meaning: "`kforge node add` of a bare worker, to its exit"})
	}
	for _, arch := range agentArches {
		list = append(list, figure{Name: "agent-size-" + arch, Value: float64(l.Agents[arch]) / mb, Unit: "MB", Decimals: 2, Goal: goal(8),
			Meaning: "the program that a host is given, uncompressed"})
	}
	return append(list, figure{Name: "kforge-peak-memory", Value: worst(pairs, func(p pair) float64 { return float64(p.Memory) / mb }), Unit: "MB", Decimals: 1,
		Meaning: "peak resident memory of the first apply"})
}

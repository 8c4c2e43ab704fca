// Package graph is the scheduler of a run as a pure state machine: which steps
// may start now, and what follows when one ends. It has no goroutine, no clock
// and no idea of what a step does.
package graph

import (
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// Step is a node of the graph.
type Step struct {
	ID    string // unique: "n1/containerd", "cluster/flannel"
	Host  string // "" is the cluster
	Phase string // for the summary of time: prepare, images, control-plane, join, addons
	Title string // for a person: "install containerd v2.4.2"
	// Class of work for limits: "host", "image", "init", "join", "kube".
	Class string
	// Needs are ids of steps that must have ended well before.
	Needs []string
	// NeedsAny, when not empty: at least one of these must have ended well.
	NeedsAny []string
	// After are ids of steps that must have ended before, well or not: for work
	// that must not go on at the same time but is of no use to this step.
	After []string
	// Window: the steps of a host that name the same one are passed through as a
	// whole. Limits.Window bounds how many hosts are inside at one time; a failure
	// inside lets nobody in any more.
	Window string
	// SlowAfter so many seconds, a step inside a window holds up others no more:
	// its host gives its place away. 0 is never.
	SlowAfter int
	// Beside: it may run beside another step of its host, of which at most one
	// runs at a time otherwise.
	Beside bool
	// Work is what an executor does; graph never looks at it.
	Work any
}

// Graph is a checked set of steps: ids are unique, needs exist, and there is no
// cycle. It never changes after New.
type Graph struct {
	steps []Step
	index map[string]int
	// users[i] are the steps that need step i, in the order of steps.
	users  [][]int
	byHost map[string][]int
}

// New checks the steps and makes a graph of them. Their order is kept: among
// steps that may start, earlier ones start first. An error is a defect of the
// planner (diag.Internal) and names the path of a cycle.
func New(steps []Step) (*Graph, error) {
	g := &Graph{
		steps:  append([]Step(nil), steps...),
		index:  make(map[string]int, len(steps)),
		users:  make([][]int, len(steps)),
		byHost: make(map[string][]int),
	}
	for i, s := range g.steps {
		if s.ID == "" || s.ID == Stopped || s.ID == OverBudget {
			return nil, diag.New(diag.Internal, "build graph", "step %d (%s) has the reserved id %q", i, s.Title, s.ID)
		}
		if _, dup := g.index[s.ID]; dup {
			return nil, diag.New(diag.Internal, "build graph", "two steps have the id %q", s.ID)
		}
		g.index[s.ID] = i
		g.byHost[s.Host] = append(g.byHost[s.Host], i)
	}
	for i, s := range g.steps {
		for _, need := range before(s) {
			n, ok := g.index[need]
			if !ok {
				return nil, diag.New(diag.Internal, "build graph", "step %q needs %q, which is not there", s.ID, need)
			}
			g.users[n] = append(g.users[n], i)
		}
	}
	if path := g.cycle(); path != nil {
		return nil, diag.New(diag.Internal, "build graph", "steps need each other: %s", strings.Join(path, " needs "))
	}
	return g, nil
}

// Steps gives the steps in their order. They must not be changed.
func (g *Graph) Steps() []Step { return g.steps }

// Len is the number of steps.
func (g *Graph) Len() int { return len(g.steps) }

// Step finds a step by its id.
func (g *Graph) Step(id string) (Step, bool) {
	i, ok := g.index[id]
	if !ok {
		return Step{}, false
	}
	return g.steps[i], true
}

// Hosts gives the hosts in the order of their first step, the cluster ("")
// left out.
func (g *Graph) Hosts() []string {
	var hosts []string
	for _, s := range g.steps {
		if s.Host != "" && g.steps[g.byHost[s.Host][0]].ID == s.ID {
			hosts = append(hosts, s.Host)
		}
	}
	return hosts
}

// before gives the ids of Needs, NeedsAny and After, each once: naming one twice
// must not make it count twice.
func before(s Step) []string {
	return distinct(slices.Concat(s.Needs, s.NeedsAny, s.After))
}

func distinct(ids []string) []string {
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// cycle gives the ids along a cycle, the first repeated at the end, or nil.
func (g *Graph) cycle() []string {
	const (
		unseen = iota
		onPath
		clean
	)
	mark := make([]int, len(g.steps))
	// An explicit stack: chains of a big fleet may be long.
	type frame struct {
		step int
		rest []string
	}
	for root := range g.steps {
		if mark[root] != unseen {
			continue
		}
		stack := []frame{{root, before(g.steps[root])}}
		mark[root] = onPath
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.rest) == 0 {
				mark[top.step] = clean
				stack = stack[:len(stack)-1]
				continue
			}
			next := g.index[top.rest[0]]
			top.rest = top.rest[1:]
			switch mark[next] {
			case unseen:
				mark[next] = onPath
				stack = append(stack, frame{next, before(g.steps[next])})
			case onPath:
				var path []string
				for _, f := range stack {
					if f.step == next || path != nil {
						path = append(path, g.steps[f.step].ID)
					}
				}
				return append(path, g.steps[next].ID)
			}
		}
	}
	return nil
}

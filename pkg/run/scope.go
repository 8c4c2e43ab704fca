package run

import (
	"fmt"
	"maps"
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/plan"
)

// A run may be about a part of the hosts. The others get no steps and nothing is
// removed because of them. They are not reached either, so that a run about one
// host costs one host; but for control planes, which are looked at only: the
// API is asked through them, and their lock keeps other runs off the cluster.
// What follows from all hosts, the pod network's settings, is left as it is.

// scope is the hosts that a run is about, and the others.
type scope struct {
	asked   []string // in the inventory's order
	skipped map[string]bool
}

func newScope(c *inventory.Cluster, limit, skip []string) (scope, error) {
	asked, err := c.Select(limit, skip)
	if err != nil {
		return scope{}, err
	}
	s := scope{asked: asked, skipped: map[string]bool{}}
	for _, h := range c.Hosts {
		if !slices.Contains(asked, h.Name) {
			s.skipped[h.Name] = true
		}
	}
	return s, nil
}

// contact gives the hosts to be reached.
func (s scope) contact(c *inventory.Cluster) []inventory.ResolvedHost {
	return slices.DeleteFunc(slices.Clone(c.Hosts), func(h inventory.ResolvedHost) bool {
		return s.skipped[h.Name] && !h.ControlPlane()
	})
}

// notAsked gives the hosts that were left out, in the inventory's order.
func (s scope) notAsked(c *inventory.Cluster) []string {
	return slices.DeleteFunc(hostNames(c), func(name string) bool { return !s.skipped[name] })
}

// asked gives the hosts that the run is about, in the inventory's order.
func (s *session) asked() []string {
	if s.scope.asked == nil { // a session that knows no choice of hosts
		return hostNames(s.cluster)
	}
	return s.scope.asked
}

// tellScope says once which hosts are left out.
func (s *session) tellScope() {
	names := s.scope.notAsked(s.cluster)
	if len(names) == 0 {
		return
	}
	s.sink(event.Event{Event: event.Notice, Text: several(names, 0) + " not asked for: left as they are, and so is what follows from all hosts"})
}

// noneLeft tells whether no host that was asked for is there to work on.
func (s *session) noneLeft() bool {
	return !slices.ContainsFunc(s.asked(), func(name string) bool { return s.fleet.facts[name] != nil })
}

// unreachable is what the planner is told: hosts left out with their reasons,
// and control planes that could not be looked at.
func (s *session) unreachable() map[string]error {
	out := maps.Clone(s.left)
	for name, err := range s.fleet.unreachable {
		if s.scope.skipped[name] {
			out[name] = err
		}
	}
	return out
}

// Kinds of work that Options.Parallel bounds, with what is allowed at one time
// when it says nothing; 0 is any number. Imports are bound by each host's own
// disk and CPU. Joins are bound by the API server and its etcd: one is a dozen
// requests and one certificate, so dozens at a time do no harm. Handshakes cost
// CPU on the admin's machine.
var parallel = map[string]int{"dial": 64, "upload": 0, "import": 0, "join": 32}

// parallelism lays the user's limits over the usual ones.
func (o Options) parallelism() (map[string]int, error) {
	out := maps.Clone(parallel)
	for _, kind := range slices.Sorted(maps.Keys(o.Parallel)) {
		n := o.Parallel[kind]
		if _, ok := parallel[kind]; !ok {
			return nil, diag.New(diag.Invalid, "", "unknown kind of work %q", kind).WithHint("kinds are dial, import, join and upload: --parallel join=8")
		}
		if n < 1 {
			return nil, diag.New(diag.Invalid, "", "%s=%d: at least one has to be allowed at a time", kind, n)
		}
		out[kind] = n
	}
	if o.MaxFailures < 0 {
		return nil, diag.New(diag.Invalid, "", "%d failures cannot be allowed: want 1 or more, or 0 for any number", o.MaxFailures)
	}
	return out, nil
}

// limits of the graph's steps at one time, over all hosts.
func (s *session) limits() graph.Limits {
	return graph.Limits{
		Class:       map[string]int{plan.ClassInit: 1, plan.ClassJoin: s.parallel["join"], plan.ClassImage: s.parallel["import"]},
		Window:      map[string]int{plan.WindowWorkers: s.window},
		MaxFailures: s.options.MaxFailures,
	}
}

// slots is a semaphore; nil has room for everybody.
type slots chan struct{}

func newSlots(n int) slots {
	if n <= 0 {
		return nil
	}
	return make(slots, n)
}

func (s slots) take(done <-chan struct{}) error {
	if s == nil {
		return nil
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-done:
		return fmt.Errorf("waiting for a slot: %w", diag.New(diag.Canceled, "", "the run ended"))
	}
}

func (s slots) give() {
	if s != nil {
		<-s
	}
}

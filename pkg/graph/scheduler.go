package graph

import "slices"

// State of a step.
type State string

const (
	Waiting State = "waiting"
	Running State = "running"
	OK      State = "ok"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Reasons to skip a step that are no step ids.
const (
	Stopped    = "stopped"       // Stop was called
	OverBudget = "failure-limit" // Limits.MaxFailures was reached
)

// Limits bound what runs at one time.
type Limits struct {
	// Class gives how many steps of a class run at one time. A class that is
	// missing, zero or negative has no limit.
	Class map[string]int
	// Window gives how many hosts may be in a window at one time, as Class does.
	Window map[string]int
	// MaxFailures: once this many steps failed, nothing new starts. 0 is no
	// limit. A host fails once at most, since its own chain stops there.
	MaxFailures int
}

// Scheduler walks a graph. At most one step runs on a host at a time, those
// beside it not counted, and any number for the cluster. It is not safe for concurrent use: its caller is one
// loop.
type Scheduler struct {
	g       *Graph
	limits  Limits
	state   []State
	because []string
	unmet   []int          // Needs not yet ok
	pending []int          // After not yet ended
	ready   []int          // may start but for windows; sorted
	class   map[string]int // running by class
	busy    map[string]bool
	windows map[string]*window
	running int
	waiting int
	failed  int
	stopped bool
}

// NewScheduler starts a walk of g with nothing running.
func NewScheduler(g *Graph, limits Limits) *Scheduler {
	s := &Scheduler{
		g: g, limits: limits,
		state:   make([]State, g.Len()),
		because: make([]string, g.Len()),
		unmet:   make([]int, g.Len()),
		pending: make([]int, g.Len()),
		class:   make(map[string]int),
		busy:    make(map[string]bool),
		windows: newWindows(g.steps),
		waiting: g.Len(),
	}
	for i, step := range g.steps {
		s.state[i] = Waiting
		s.unmet[i] = len(distinct(step.Needs))
		s.pending[i] = len(distinct(step.After))
		if s.mayStart(i) {
			s.ready = append(s.ready, i)
		}
	}
	return s
}

// Next starts everything that may start now and gives it in the order of the
// graph. It is empty when all that waits needs something that runs.
func (s *Scheduler) Next() []Step {
	var start []Step
	rest := s.ready[:0]
	for _, i := range s.ready {
		step := s.g.steps[i]
		if s.state[i] != Waiting {
			continue
		}
		limit := s.limits.Class[step.Class]
		if (s.busy[step.Host] && !step.Beside) || (limit > 0 && s.class[step.Class] >= limit) {
			rest = append(rest, i)
			continue
		}
		if w := s.windows[step.Window]; w != nil {
			if !w.admits(step.Host, s.limits.Window[step.Window]) {
				rest = append(rest, i)
				continue
			}
			w.enter(step.Host)
		}
		s.state[i] = Running
		s.running++
		s.waiting--
		s.class[step.Class]++
		if step.Host != "" && !step.Beside {
			s.busy[step.Host] = true
		}
		start = append(start, step)
	}
	s.ready = rest
	return start
}

// Done ends a running step and gives the steps that are skipped because of it,
// in the order of the graph. A step that is unknown or does not run is ignored.
//
// When a step failed, everything that needs it is skipped, and so is whatever
// else was to come on its host: a host does not go on past a failure. Each
// skipped step names the root cause, the step that failed first.
func (s *Scheduler) Done(id string, ok bool) []Step {
	i, known := s.g.index[id]
	if !known || s.state[i] != Running {
		return nil
	}
	step := s.g.steps[i]
	s.running--
	s.class[step.Class]--
	if !step.Beside {
		delete(s.busy, step.Host)
	}
	if ok {
		s.state[i] = OK
		if w := s.windows[step.Window]; w != nil {
			w.ended(step.Host)
		}
		s.release(i)
		return nil
	}
	s.state[i] = Failed
	s.failed++
	skipped := s.spread(i)
	for _, ended := range append([]int{i}, skipped...) {
		s.release(ended)
	}
	if s.limits.MaxFailures > 0 && s.failed >= s.limits.MaxFailures {
		skipped = append(skipped, s.halt(OverBudget)...)
	}
	return s.steps(skipped)
}

// Stop lets running steps end and starts nothing new. It gives the steps that
// are skipped, in the order of the graph.
func (s *Scheduler) Stop() []Step { return s.steps(s.halt(Stopped)) }

// Stopped reports whether Stop was called or the failure limit was reached.
func (s *Scheduler) Stopped() bool { return s.stopped }

// Finished reports that nothing runs and nothing will start.
func (s *Scheduler) Finished() bool { return s.running == 0 && s.waiting == 0 }

// Outcome gives the state of a step and, when it was skipped, the id of the
// step whose failure is the root cause, or Stopped or OverBudget.
func (s *Scheduler) Outcome(id string) (state State, because string) {
	i, known := s.g.index[id]
	if !known {
		return "", ""
	}
	return s.state[i], s.because[i]
}

// release makes ready what step i, which has ended, was the last to hold back.
func (s *Scheduler) release(i int) {
	id := s.g.steps[i].ID
	for _, u := range s.g.users[i] {
		step := s.g.steps[u]
		if s.state[u] != Waiting {
			continue
		}
		if s.state[i] == OK && slices.Contains(step.Needs, id) {
			s.unmet[u]--
		}
		if slices.Contains(step.After, id) {
			s.pending[u]--
		}
		if s.mayStart(u) {
			at, there := slices.BinarySearch(s.ready, u)
			if !there {
				s.ready = slices.Insert(s.ready, at, u)
			}
		}
	}
}

// spread skips what cannot run any more since step i failed.
func (s *Scheduler) spread(i int) (skipped []int) {
	root := s.g.steps[i].ID
	lost := []int{i}
	skip := func(n int) {
		if s.state[n] == Waiting {
			s.skip(n, root)
			skipped = append(skipped, n)
			lost = append(lost, n)
		}
	}
	if host := s.g.steps[i].Host; host != "" {
		for _, n := range s.g.byHost[host] {
			skip(n)
		}
	}
	for len(lost) > 0 {
		l := lost[0]
		lost = lost[1:]
		s.lostInWindow(l, skip)
		for _, u := range s.g.users[l] {
			step := s.g.steps[u]
			if slices.Contains(step.Needs, s.g.steps[l].ID) || s.allLost(step.NeedsAny) {
				skip(u)
			}
		}
	}
	return skipped
}

func (s *Scheduler) halt(why string) (skipped []int) {
	s.stopped = true
	for i := range s.state {
		if s.state[i] == Waiting {
			s.skip(i, why)
			skipped = append(skipped, i)
		}
	}
	s.ready = nil
	return skipped
}

func (s *Scheduler) skip(i int, because string) {
	s.state[i] = Skipped
	s.because[i] = because
	s.waiting--
}

// mayStart tells whether nothing holds step i back but windows.
func (s *Scheduler) mayStart(i int) bool {
	return s.unmet[i] == 0 && s.pending[i] == 0 && s.anyOK(s.g.steps[i])
}

func (s *Scheduler) anyOK(step Step) bool {
	return len(step.NeedsAny) == 0 || slices.ContainsFunc(step.NeedsAny, func(id string) bool {
		return s.state[s.g.index[id]] == OK
	})
}

func (s *Scheduler) allLost(ids []string) bool {
	for _, id := range ids {
		if st := s.state[s.g.index[id]]; st != Failed && st != Skipped {
			return false
		}
	}
	return len(ids) > 0
}

func (s *Scheduler) steps(at []int) []Step {
	slices.Sort(at)
	out := make([]Step, len(at))
	for n, i := range at {
		out[n] = s.g.steps[i]
	}
	return out
}

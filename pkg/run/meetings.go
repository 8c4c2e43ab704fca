package run

import (
	"context"
	"sync"

	"kforge.dev/kforge/pkg/facts"
)

// meetings tell when hosts have been met: reached, or given up. Whoever waits
// for one host waits for no other.
type meetings struct {
	mu   sync.Mutex
	over map[string]bool
	then map[string][]func()
}

func newMeetings() *meetings { return &meetings{over: map[string]bool{}, then: map[string][]func(){}} }

// on calls then once the host was met, which may be at once. It must not block.
func (m *meetings) on(name string, then func()) {
	m.mu.Lock()
	over := m.over[name]
	if !over {
		m.then[name] = append(m.then[name], then)
	}
	m.mu.Unlock()
	if over {
		then()
	}
}

// tell says that a host was met.
func (m *meetings) tell(name string) {
	m.mu.Lock()
	waiting := m.then[name]
	delete(m.then, name)
	m.over[name] = true
	m.mu.Unlock()
	for _, then := range waiting {
		then()
	}
}

// await gives a host's facts once it was met; nil when it was not reached, or
// when ctx ended first.
func (f *fleet) await(ctx context.Context, name string) *facts.Host {
	met := make(chan struct{})
	f.met.on(name, func() { close(met) })
	select {
	case <-met:
	case <-ctx.Done():
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.facts[name]
}

// asMet calls do with hosts that were reached, all that there are at a time,
// until all of the names were met: it must be names that are contacted.
func (f *fleet) asMet(ctx context.Context, names []string, do func(map[string]*facts.Host)) {
	met := make(chan string, len(names))
	for _, name := range names {
		f.met.on(name, func() { met <- name })
	}
	for left := len(names); left > 0; {
		batch := map[string]*facts.Host{}
		take := func(name string) {
			left--
			f.mu.Lock()
			defer f.mu.Unlock()
			if got := f.facts[name]; got != nil {
				batch[name] = got
			}
		}
		select {
		case name := <-met:
			take(name)
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case name := <-met:
				take(name)
			default:
				more = false
			}
		}
		if len(batch) > 0 {
			do(batch)
		}
	}
}

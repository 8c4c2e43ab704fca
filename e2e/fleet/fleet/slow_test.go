package fleet_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/wire"
)

// patience with what others do while one host is held: it is for broken code
// only, and says nothing of time.
const patience = 30 * time.Second

// partners are the hosts that measure the way to a host, or from it.
func partners(t *testing.T, f *fleet.Fleet, name string) map[string]bool {
	t.Helper()
	c, _, err := inventory.Load(f.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, w := range preflight.Pairs(c) {
		switch name {
		case w.From:
			out[w.To] = true
		case w.To:
			out[w.From] = true
		}
	}
	return out
}

// A host that answers nothing keeps none from its own checks: it is let go on
// only when all others that do not measure it have come to their end. Those
// that do measure it wait with that alone.
func TestCheckGoesOnBesideASlowHost(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 16})
	slow := f.Machines[7]
	measure := partners(t, f, slow.Name)
	if len(measure) != 7 {
		t.Fatalf("%s is measured by %v, want the control plane and its neighbours", slow.Name, measure)
	}
	began := map[string]chan struct{}{}
	for _, m := range f.Machines {
		if m == slow {
			continue
		}
		met := make(chan struct{})
		began[m.Name] = met
		once := sync.OnceFunc(func() { close(met) })
		if err := m.Break(fleet.Faults{HoldRequest: func(context.Context, wire.Header) { once() }}); err != nil {
			t.Fatal(err)
		}
	}
	held := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, m := range f.Machines {
			if m == slow {
				continue
			}
			select {
			case <-began[m.Name]:
			case <-ctx.Done():
				t.Errorf("%s was not asked anything before %s had answered", m.Name, slow.Name)
				return
			}
			if measure[m.Name] {
				continue
			}
			if err := m.Idle(ctx); err != nil {
				t.Errorf("%s did not come to its end before %s had answered: %v", m.Name, slow.Name, err)
				return
			}
		}
	})
	if err := slow.Break(fleet.Faults{HoldRequest: func(_ context.Context, h wire.Header) {
		if h.Type == wire.TFacts {
			held()
		}
	}}); err != nil {
		t.Fatal(err)
	}
	var r record
	report, err := run.Check(t.Context(), world(f, &r), run.CheckOptions{Inventory: f.Inventory})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range report.Hosts {
		if !h.Reached || !h.Measured {
			t.Errorf("%s was reached: %v, measured: %v", h.Name, h.Reached, h.Measured)
		}
	}
	if want := 15 + 15 + 15*3 - 3; report.Paths != want {
		t.Errorf("%d ways were measured, want %d", report.Paths, want)
	}
	if s := f.Stats(); s.Connections != 16 || s.Sessions != 16 {
		t.Errorf("%d connections and %d sessions for 16 hosts, want one each", s.Connections, s.Sessions)
	}
}

// The same of an apply's steps: a host that hangs in its first step is let go
// on only when all others are nodes and ready.
func TestApplyGoesOnBesideASlowHost(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 6})
	slow := f.Machines[3]
	var mu sync.Mutex
	ready := map[string]bool{}
	others := make(chan struct{})
	var r record
	r.each = func(n int) {
		r.mu.Lock()
		e := r.events[n-1]
		r.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		if e.Event == event.StepDone && strings.HasSuffix(e.Step, "/ready") && e.Host != "" && !ready[e.Host] {
			if ready[e.Host] = true; len(ready) == len(f.Machines)-1 {
				close(others)
			}
		}
	}
	hold := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		select {
		case <-others:
		case <-ctx.Done():
			mu.Lock()
			defer mu.Unlock()
			t.Errorf("only %v became ready while %s hung", ready, slow.Name)
		}
	})
	if err := slow.Break(fleet.Faults{HoldRequest: func(_ context.Context, h wire.Header) {
		if h.Type == wire.TApply {
			hold()
		}
	}}); err != nil {
		t.Fatal(err)
	}
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ready) != len(f.Machines) {
		t.Errorf("ready are %v", ready)
	}
}

// A run about some hosts waits to meet no other: hosts that join ask for the
// addresses of those near by, and a host that is left out is never met.
func TestLimitedApplyMeetsNoOther(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var r record
	o := options(f)
	o.Limit = []string{f.Machines[0].Name, f.Machines[2].Name}
	if err := run.Apply(ctx, world(f, &r), o); err != nil {
		t.Fatal(err)
	}
	settled(t, f)
	for i, m := range f.Machines {
		want := int64(1 - i%2)
		if got := m.Stats().Connections; got != want {
			t.Errorf("%s saw %d connections, want %d", m.Name, got, want)
		}
	}
}

package fleet_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
)

var (
	seed  = flag.Uint64("seed", 0, "of random cuts and kills; 0 takes a new one")
	cuts  = flag.Int("cuts", 20, "random cuts, two at a time")
	kills = flag.Int("kills", 32, "random points at which kforge or an agent is killed, or the network cut")
)

// newSeed gives the seed of a test and says how to have the same again.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	drawn := *seed
	if drawn == 0 {
		drawn = rand.Uint64()
	}
	t.Logf("once more the same: -run %s -seed %d", t.Name(), drawn)
	return drawn
}

// cut is one way of breaking off a run: at a host, or kforge itself.
type cut struct {
	host   *fleet.Machine // nil: kforge itself
	faults fleet.Faults
	at     int  // event after which kforge is stopped
	hard   bool // by cancelling it; else by the first Ctrl-C
}

func (c cut) String() string {
	switch {
	case c.host == nil:
		return fmt.Sprintf("kforge stopped at event %d (cancelled: %v)", c.at, c.hard)
	case c.faults.CutAfter > 0:
		return fmt.Sprintf("%s cut after %d bytes", c.host.Name, c.faults.CutAfter)
	}
	return fmt.Sprintf("%s's agent killed at program %d, request %d (once: %v)",
		c.host.Name, c.faults.KillAtProgram, c.faults.KillAtRequest, c.faults.Once)
}

// draw draws a cut at m or, for nil, of kforge. The bounds lie a little beyond
// what an apply does, so that some cuts hit nothing.
func draw(r *rand.Rand, m *fleet.Machine) cut {
	c := cut{host: m}
	switch kind := r.IntN(3); {
	case m == nil:
		c.at, c.hard = 1+r.IntN(600), r.IntN(2) == 0
	case kind == 0:
		c.faults = fleet.Faults{KillAtProgram: 1 + r.IntN(50), Once: r.IntN(2) == 0}
	case kind == 1:
		c.faults = fleet.Faults{KillAtRequest: 1 + r.IntN(40), Once: r.IntN(2) == 0}
	default:
		c.faults = fleet.Faults{CutAfter: 1 + r.Int64N(60_000)}
	}
	return c
}

// pair draws two cuts at different places.
func pair(r *rand.Rand, f *fleet.Fleet) []cut {
	places := append([]*fleet.Machine{nil, nil}, f.Machines...)
	r.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	if places[0] == nil && places[1] == nil {
		places[1] = f.Machines[0]
	}
	return []cut{draw(r, places[0]), draw(r, places[1])}
}

// cutApply applies with the cuts.
func cutApply(t *testing.T, f *fleet.Fleet, cuts []cut) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var r record
	env := world(f, &r)
	for _, c := range cuts {
		if c.host != nil {
			if err := c.host.Break(c.faults); err != nil {
				t.Fatal(err)
			}
			continue
		}
		stop := make(chan struct{})
		env.Stop = stop
		r.each = func(n int) {
			switch {
			case n != c.at:
			case c.hard:
				cancel()
			default:
				close(stop)
			}
		}
	}
	err := run.Apply(ctx, env, options(f))
	noStepAfterFailure(t, &r)
	return err
}

// unlocked checks that nobody holds the host's lock.
func unlocked(t *testing.T, m *fleet.Machine) {
	t.Helper()
	fd, err := unix.Open(filepath.Join(m.Root, "/run/kforge/lock"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return // it never was taken
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("%s is left locked: %v", m.Name, err)
	}
}

// whole checks that the fleet is a cluster, and that nothing is left to do.
func whole(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	for _, m := range f.Machines {
		if f.API.Get("/api/v1/nodes/"+m.Name) == nil || m.Host.Unit("kubelet.service").Active != "active" {
			t.Errorf("%s is no node", m.Name)
		}
	}
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Errorf("apply of a whole fleet: %v", err)
	} else if s := r.summary(t); s.Mutating != 0 || s.Changed != 0 {
		t.Errorf("apply of a whole fleet: %d mutating requests, %d changes", s.Mutating, s.Changed)
	}
}

// TestApplyAfterAnyCutConverges breaks runs off at random points, two at a time,
// each on a bare fleet, and expects the run after that to end well.
func TestApplyAfterAnyCutConverges(t *testing.T) {
	t.Parallel()
	drawn := newSeed(t)
	const lanes = 5
	points := *cuts
	if testing.Short() {
		points = min(points, 2*lanes)
	}
	for lane := range lanes {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(drawn, uint64(lane)))
			for n := 0; n < points/2/lanes && !t.Failed(); n++ {
				f := start(t, fleet.Options{Hosts: 5})
				two := pair(random, f)
				broken := cutApply(t, f, two)
				settled(t, f)
				for _, m := range f.Machines {
					unlocked(t, m)
				}
				if err := f.Heal(); err != nil {
					t.Fatal(err)
				}
				var r record
				if err := apply(t.Context(), f, &r); err != nil {
					t.Errorf("the apply after it: %v", err)
				}
				noStepAfterFailure(t, &r)
				if n%3 == 0 {
					whole(t, f)
				}
				t.Logf("%v: kind %q", two, diag.KindOf(broken))
				f.Close()
			}
		})
	}
}

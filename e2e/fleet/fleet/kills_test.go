package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
)

// blow is one way of breaking off a run with force, at a random point.
type blow struct {
	kind string
	host *fleet.Machine // nil: kforge itself
	at   int64          // event of kforge, or bytes that the host read
}

func (b blow) String() string {
	if b.host == nil {
		return fmt.Sprintf("%s at event %d", b.kind, b.at)
	}
	return fmt.Sprintf("%s of %s after %d bytes", b.kind, b.host.Name, b.at)
}

// aim draws the nth blow. The bounds lie about where an apply ends, so that few
// hit nothing.
func aim(r *rand.Rand, n int, f *fleet.Fleet) blow {
	host := f.Machines[r.IntN(len(f.Machines))]
	switch n % 3 {
	case 0:
		return blow{"SIGKILL of kforge", nil, 1 + r.Int64N(200)}
	case 1:
		return blow{"SIGKILL of the agent", host, 1 + r.Int64N(60_000)}
	}
	return blow{"cut of the network", host, 1 + r.Int64N(60_000)}
}

// strike applies, and strikes; it reports whether that broke the run off.
func strike(t *testing.T, f *fleet.Fleet, b blow) bool {
	t.Helper()
	switch {
	case b.host == nil:
		return killAt(t, kforge(t, f, "apply", "--yes", "--bundle", bundleFile, "-o", "json"), int(b.at))
	case b.kind == "SIGKILL of the agent":
		if err := b.host.Break(fleet.Faults{KillAfter: b.at}); err != nil {
			t.Fatal(err)
		}
	default:
		if err := b.host.Break(fleet.Faults{CutAfter: b.at}); err != nil {
			t.Fatal(err)
		}
	}
	var r record
	err := apply(t.Context(), f, &r)
	noStepAfterFailure(t, &r)
	return err != nil
}

// TestApplyAfterAnyKillConverges kills kforge, kills an agent, and cuts the
// network, each in turn and at a random point of the first apply on a bare
// fleet. kforge and agents are processes of their own: nobody gets a chance to
// tidy up. The next apply has to end well, and no host may be left locked.
func TestApplyAfterAnyKillConverges(t *testing.T) {
	t.Parallel()
	drawn := newSeed(t)
	points := *kills
	if testing.Short() {
		points = min(points, 6)
	}
	const lanes = 4
	hit := make([]int, lanes)
	t.Run("points", func(t *testing.T) {
		for lane := range lanes {
			t.Run(fmt.Sprint(lane), func(t *testing.T) {
				t.Parallel()
				for n := lane; n < points && !t.Failed(); n += lanes {
					f := start(t, fleet.Options{Hosts: 3, Program: self(t)})
					b := aim(rand.New(rand.NewPCG(drawn, uint64(n))), n, f)
					broke := strike(t, f, b)
					if broke {
						hit[lane]++
					}
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
					if n%3 == lane%3 {
						whole(t, f)
					}
					t.Logf("point %d: %v: broke the run off: %v", n, b, broke)
					f.Close()
				}
			})
		}
	})
	sum := 0
	for _, n := range hit {
		sum += n
	}
	if t.Logf("%d of %d points broke the run off", sum, points); sum < points/2 {
		t.Errorf("only %d of %d points broke the run off: the test proves little", sum, points)
	}
}

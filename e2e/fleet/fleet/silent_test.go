package fleet_test

import (
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// An agent that stops answering, while the connection to its host lives, is
// given up after the time that the host's class gives it; the others go on.
func TestSilentAgentIsGivenUp(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4, Program: self(t), Connect: 2 * time.Minute, TimeoutScale: map[string]float64{"h003": 0.1}})
	silent := f.Machine("h003")
	if err := silent.Break(fleet.Faults{StopAfter: 3000}); err != nil { // in the midst of the plan's request
		t.Fatal(err)
	}
	var r record
	err := apply(t.Context(), f, &r)
	if diag.KindOf(err) != diag.Partial {
		t.Errorf("apply: %v, want kind partial", err)
	}
	for _, got := range r.summary(t).Results {
		switch {
		case got.Host == "":
		case got.Host != silent.Name:
			if got.Status != event.Changed {
				t.Errorf("%s: %s %v", got.Host, got.Status, got.Error)
			}
		case got.Status != event.Unreachable || diag.KindOf(got.Error) != diag.Timeout || !contains(got.Error, "observe the host: the host has said nothing for 12s") ||
			diag.Hint(got.Error) == "":
			t.Errorf("%s: %s, kind %s: %v", got.Host, got.Status, diag.KindOf(got.Error), got.Error)
		}
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	settled(t, f)
	unlocked(t, silent)
	var again record
	if err := apply(t.Context(), f, &again); err != nil {
		t.Errorf("apply after healing: %v", err)
	}
	whole(t, f)
}

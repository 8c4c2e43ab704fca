package fleet_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// setMaxPods changes a setting of all kubelets, which have to be restarted then,
// and how many of them may be at one time.
func setMaxPods(t *testing.T, f *fleet.Fleet, pods int, share string) {
	t.Helper()
	text, err := os.ReadFile(f.Inventory)
	if err == nil {
		head, hosts, _ := strings.Cut(string(text), "  hosts:\n")
		head, _, _ = strings.Cut(head, "  apply:")
		err = os.WriteFile(f.Inventory, fmt.Appendf(nil, "%s  apply: {maxUnavailable: %s}\n  defaults: {maxPods: %d}\n  hosts:\n%s", head, share, pods, hosts), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Host.Calls()
	}
}

// restarts gives the hosts on which the kubelet was restarted.
func restarts(f *fleet.Fleet) (names []string) {
	for _, m := range f.Machines {
		if slices.ContainsFunc(m.Host.Calls(), func(c string) bool {
			return strings.HasPrefix(c, "systemctl restart ") && strings.HasSuffix(c, " kubelet.service")
		}) {
			names = append(names, m.Name)
		}
	}
	return names
}

// atOnce is the largest number of workers that were restarted at one time: between the
// begin of the kubelet's restart and the end of the wait for their node.
func atOnce(r *record) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := map[string]bool{} // by step
	for _, e := range r.events {
		changed[e.Step] = changed[e.Step] || e.Event == event.Change
	}
	inside, most := map[string]bool{}, 0
	for _, e := range r.events {
		name := strings.TrimPrefix(e.Step, e.Host+"/")
		switch {
		case e.Host == "h001":
		case e.Event == event.StepStart && name == "kubelet-running" && changed[e.Step]:
			inside[e.Host] = true
			most = max(most, len(inside))
		case e.Event == event.StepDone && name == "ready":
			delete(inside, e.Host)
		}
	}
	return most
}

// Of a running cluster's workers a tenth is restarted at one time, and a setting
// that breaks the first ones stops there.
func TestNodesAreRestartedInTurns(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 21})
	var first record
	if err := apply(t.Context(), f, &first); err != nil {
		t.Fatal(err)
	}

	setMaxPods(t, f, 90, "10%")
	bad := f.Machine("h004")
	if err := bad.Break(fleet.Faults{Exit: map[string]int{"systemctl restart": 1}}); err != nil {
		t.Fatal(err)
	}
	var second record
	if err := apply(t.Context(), f, &second); diag.KindOf(err) != diag.Partial {
		t.Errorf("apply with a host that does not come back: %v, want kind partial", err)
	}
	done := restarts(f)
	if len(done) > 8 {
		t.Errorf("the kubelet was restarted on %v: the failure of %s held nobody back", done, bad.Name)
	}
	because := 0
	for _, got := range second.summary(t).Results {
		if got.Status == event.Skipped && strings.Contains(got.Because, "failed on "+bad.Name) {
			because++
		}
	}
	if because < 12 {
		t.Errorf("%d hosts say that they were held back because of %s: %+v", because, bad.Name, second.summary(t).Results)
	}
	if n := atOnce(&second); n > 2 {
		t.Errorf("%d workers were restarted at one time, want 2 at most", n)
	}

	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	var third record
	if err := apply(t.Context(), f, &third); err != nil {
		t.Fatal(err)
	}
	if n := atOnce(&third); n > 2 {
		t.Errorf("%d workers were restarted at one time, want 2 at most", n)
	}
	if done = append(done, restarts(f)...); len(done) != 21 {
		t.Errorf("the kubelet was restarted on %d hosts, want all 21: %v", len(done), done)
	}

	// Who is in haste says so.
	setMaxPods(t, f, 80, "100%")
	var fourth record
	if err := apply(t.Context(), f, &fourth); err != nil {
		t.Fatal(err)
	}
	if n := atOnce(&fourth); n <= 2 {
		t.Errorf("%d workers were restarted at one time, though all may be", n)
	}
}

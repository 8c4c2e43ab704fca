package fleet_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/wire"
)

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }

// noStepAfterFailure checks that no host began a step after one of its own
// failed.
func noStepAfterFailure(t testing.TB, r *record) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := map[string]string{}
	for _, e := range r.events {
		switch {
		case e.Event == event.StepDone && e.Status == event.Failed && e.Host != "":
			failed[e.Host] = e.Step
		case e.Event == event.StepStart && failed[e.Host] != "":
			t.Errorf("%s began %s after %s had failed", e.Host, e.Step, failed[e.Host])
		}
	}
}

func TestSevenBrokenHostsOfFifty(t *testing.T) {
	t.Parallel()
	// The one that hangs is given up after 3 s, all others have their 30.
	f := start(t, fleet.Options{Hosts: 50, TimeoutScale: map[string]float64{"h013": 0.1}})
	tests := map[string]struct {
		faults fleet.Faults
		kind   diag.Kind
		status event.Status
		says   string
	}{
		"h007": {fleet.Faults{Refuse: true}, diag.Unreachable, event.Unreachable, "connect: connection re"},
		"h013": {fleet.Faults{Hang: true}, diag.Timeout, event.Unreachable, ""},
		"h020": {fleet.Faults{CutAfter: 12_000}, diag.Transport, event.Unreachable, "connection"},
		"h027": {fleet.Faults{Exit: map[string]int{"kubeadm": 3}}, diag.Command, event.Failed, "exit status 3"},
		"h033": {fleet.Faults{DiskFull: true}, diag.NoSpace, event.Failed, "0 are free"},
		"h041": {fleet.Faults{KillAtProgram: 3}, diag.Transport, event.Failed, "killed by SIGKILL"},
		"h048": {fleet.Faults{ClockAhead: 90 * time.Second}, diag.Preflight, event.Failed, "off the median of the hosts"},
	}
	for name, tt := range tests {
		if err := f.Machine(name).Break(tt.faults); err != nil {
			t.Fatal(err)
		}
	}

	var r record
	err := apply(t.Context(), f, &r)
	if diag.KindOf(err) != diag.Partial {
		t.Fatalf("apply: %v, want kind partial", err)
	}
	noStepAfterFailure(t, &r)
	good := 0
	for _, got := range r.summary(t).Results {
		want, broken := tests[got.Host]
		switch {
		case got.Host == "":
		case !broken:
			good++
			if got.Status != event.Changed {
				t.Errorf("%s: %s %v, want changed", got.Host, got.Status, got.Error)
			}
		case got.Error == nil:
			t.Errorf("%s (%+v): %s, want kind %s", got.Host, want.faults, got.Status, want.kind)
		case got.Status != want.status || diag.KindOf(got.Error) != want.kind || !contains(got.Error, want.says):
			t.Errorf("%s (%+v): %s, kind %s: %v; want %s, kind %s, %q",
				got.Host, want.faults, got.Status, diag.KindOf(got.Error), got.Error, want.status, want.kind, want.says)
		default:
			t.Logf("%s: %s: %s", got.Host, want.kind, firstLine(got.Error.Error()))
		}
	}
	if good != 43 {
		t.Errorf("%d good hosts, want 43", good)
	}
	settled(t, f)

	// After healing, only those seven are touched.
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Requests()
	}
	before := digests(t, f, "/run/kforge")
	var again record
	if err := apply(t.Context(), f, &again); err != nil {
		t.Fatalf("apply after healing: %v", err)
	}
	settled(t, f)
	after := digests(t, f, "/run/kforge")
	for i, m := range f.Machines {
		requests := m.Requests()
		_, broken := tests[m.Name]
		switch {
		case broken && fleet.Changes(requests) == 0:
			t.Errorf("%s was not brought on: %v", m.Name, requests)
		case !broken && (fleet.Changes(requests) != 0 || before[i] != after[i]):
			t.Errorf("%s was touched again: %v, files changed: %v", m.Name, requests, before[i] != after[i])
		}
		if f.API.Get("/api/v1/nodes/"+m.Name) == nil {
			t.Errorf("%s has not joined", m.Name)
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// A step that failed ends its host's chain, whichever step it is.
func TestNoStepFollowsAFailedOne(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"modprobe", "systemctl start", "ctr", "kubeadm"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			f := start(t, fleet.Options{Hosts: 4})
			bad := f.Machines[2]
			if err := bad.Break(fleet.Faults{Exit: map[string]int{program: 1}}); err != nil {
				t.Fatal(err)
			}
			var r record
			err := apply(t.Context(), f, &r)
			if diag.KindOf(err) != diag.Partial {
				t.Errorf("apply: %v, want kind partial", err)
			}
			noStepAfterFailure(t, &r)
			for _, got := range r.summary(t).Results {
				if bad := got.Host == bad.Name; bad != (got.Status == event.Failed) {
					t.Errorf("%s: %s: %v", got.Host, got.Status, got.Error)
				}
			}
			if f.API.Get("/api/v1/nodes/"+bad.Name) != nil {
				t.Errorf("%s joined", bad.Name)
			}
		})
	}
}

// An agent that dies while it starts is told as that, and not as a connection
// that we closed ourselves.
func TestAgentKilledAtItsFirstRequest(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 1})
	if err := f.Machines[0].Break(fleet.Faults{KillAtRequest: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, f, "h001", wire.ReadWrite); diag.KindOf(err) != diag.Transport || !contains(err, "killed by SIGKILL") {
		t.Errorf("connect: %v (kind %s), want kind transport and SIGKILL", err, diag.KindOf(err))
	}
}

// A slow disk and a late network change nothing but the time.
func TestSlowHostsSucceed(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3, Latency: 5 * time.Millisecond})
	if err := f.Machines[1].Break(fleet.Faults{Slow: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
}

// check finds the slow disk below etcd, and only that one.
func TestCheckFindsTheSlowDisk(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"", self(t)} {
		f := start(t, fleet.Options{Hosts: 2, Program: program})
		if err := f.Machines[0].Break(fleet.Faults{Slow: 600 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		var r record
		report, err := run.Check(t.Context(), world(f, &r), run.CheckOptions{Inventory: f.Inventory})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, x := range report.Findings {
			if x.Rule == "fsync" {
				found = append(found, fmt.Sprintf("%s %s %s", x.Severity, x.Host, x.Message))
			}
		}
		if len(found) != 1 || !strings.HasPrefix(found[0], "error h001 ") || !strings.Contains(found[0], "takes more than 601ms") {
			t.Errorf("agents in processes of %q: findings of fsync: %q", program, found)
		}
	}
}

func TestFaultsAreRead(t *testing.T) {
	t.Parallel()
	var got fleet.Faults
	for _, text := range []string{"refuse", "hang", "full", "cut:9", "exit:kubeadm:3", "slow:2s", "late:1s", "kill:4", "kill-after:7", "stop-after:8", "ahead:-1m"} {
		var err error
		if got, err = got.With(text); err != nil {
			t.Fatal(err)
		}
	}
	want := fleet.Faults{Refuse: true, Hang: true, DiskFull: true, CutAfter: 9, Exit: map[string]int{"kubeadm": 3},
		Slow: 2 * time.Second, Late: time.Second, KillAtProgram: 4, KillAfter: 7, StopAfter: 8, ClockAhead: -time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	for _, text := range []string{"", "burn", "cut:x", "exit:kubeadm"} {
		if _, err := got.With(text); err == nil {
			t.Errorf("fault %q was taken", text)
		}
	}
}

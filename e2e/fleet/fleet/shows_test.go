package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/cli"
	"kforge.dev/kforge/pkg/spec"
)

// Two people, two processes: the second one ends with 7 and is told who holds
// the hosts.
func TestSecondCommandEndsWithSeven(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	var once sync.Once
	held, release := make(chan struct{}), make(chan struct{})
	err := f.Machines[2].Break(fleet.Faults{Hold: func(ctx context.Context, program string) {
		if program != "modprobe" {
			return
		}
		once.Do(func() { close(held) })
		select {
		case <-release:
		case <-ctx.Done():
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	first := kforge(t, f, "apply", "--yes", "--bundle", bundleFile)
	var said strings.Builder
	first.Stderr = &said
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case <-held:
	case err := <-ended:
		t.Fatalf("the first apply ended early: %v\n%s", err, said.String())
	}
	second := finish(t, kforge(t, f, "apply", "--yes", "--bundle", bundleFile))
	if second.code != cli.ExitLocked {
		t.Errorf("the second apply ended with %d, want %d:\n%s", second.code, cli.ExitLocked, second.stderr)
	}
	for _, want := range []string{fmt.Sprintf("(pid %d) has held it since", first.Process.Pid), `for "kforge apply"`, fmt.Sprintf("end process %d", first.Process.Pid)} {
		if !strings.Contains(second.stderr, want) {
			t.Errorf("the second apply does not say %q:\n%s", want, second.stderr)
		}
	}
	select {
	case err := <-ended:
		t.Errorf("the first apply ended: %v\n%s", err, said.String())
	default:
	}
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the first apply: %v\n%s", err, said.String())
	}
}

// What a script sees of plan: 2 while there are changes, 0 when there are none.
func TestPlanTellsScriptsByItsExitCode(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2})
	plan := func() (int, map[string]int) {
		got := finish(t, kforge(t, f, "plan", "--bundle", bundleFile, "--detailed-exitcode", "-o", "json"))
		var view struct{ Summary map[string]int }
		if err := json.Unmarshal([]byte(got.stdout), &view); err != nil {
			t.Fatalf("plan -o json: %v\n%s\n%s", err, got.stdout, got.stderr)
		}
		return got.code, view.Summary
	}
	if code, sum := plan(); code != cli.ExitChanges || sum["hosts"] != 2 || sum["create"] == 0 {
		t.Errorf("plan of bare hosts: exit code %d, %v", code, sum)
	}
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	if code, sum := plan(); code != cli.ExitOK || sum["hosts"] != 0 || sum["create"] != 0 {
		t.Errorf("plan of finished hosts: exit code %d, %v", code, sum)
	}
	// Each host's own journal names the run and the version.
	past := finish(t, kforge(t, f, "history", "--host", "h002", "-o", "json", "--limit", "0"))
	var lines []map[string]string
	if err := json.Unmarshal([]byte(past.stdout), &lines); err != nil || past.code != 0 {
		t.Fatalf("history --host: %v\n%s\n%s", err, past.stdout, past.stderr)
	}
	if len(lines) == 0 {
		t.Error("the host's journal has no line")
	}
	for _, l := range lines {
		if l["version"] != "test" || !strings.Contains(l["run"], "-apply-fleet-") || l["outcome"] != "ok" || l["time"] == "" || l["resource"] == "" {
			t.Errorf("a line of the host's journal: %v", l)
		}
	}
}

// What hosts share is told once: the plan of 200 bare hosts is no longer than
// that of two, and a change that all 200 need fits a screen.
func TestPlanOfTwoHundredHostsFitsAScreen(t *testing.T) {
	t.Parallel()
	plan := func(f *fleet.Fleet) (text string, lines int) {
		got := finish(t, kforge(t, f, "plan", "--bundle", bundleFile))
		if got.code != 0 {
			t.Fatalf("plan ended with %d:\n%s", got.code, got.stderr)
		}
		return got.stdout, strings.Count(got.stdout, "\n")
	}
	two := start(t, fleet.Options{Hosts: 2})
	_, want := plan(two)
	two.Close()
	f := start(t, fleet.Options{Hosts: 200})
	if text, got := plan(f); got != want || !strings.Contains(text, "(200 hosts: h[001-200])") {
		t.Errorf("the plan of 200 bare hosts has %d lines, that of two has %d:\n%s", got, want, text)
	}
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		if err := m.Host.WriteFile("/etc/modules-load.d/kforge.conf", spec.Header+"\noverlay\n"); err != nil {
			t.Fatal(err)
		}
	}
	text, lines := plan(f)
	for _, want := range []string{"(200 hosts: h[001-200])", "+br_netfilter", "why: containers and pod networks need them", "Plan: 200 to change on 200 hosts"} {
		if lines > 24 || !strings.Contains(text, want) {
			t.Errorf("the plan of 200 hosts has %d lines and should have at most 24 and %q:\n%s", lines, want, text)
		}
	}
}

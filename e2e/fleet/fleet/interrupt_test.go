package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/cli"
)

// The first Ctrl-C lets the program that runs on a host end; the second one ends
// it there.
func TestSecondInterruptEndsWhatRunsOnHosts(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2, Program: self(t)})
	var once sync.Once
	held, ended := make(chan struct{}), make(chan struct{})
	err := f.Machines[1].Break(fleet.Faults{Hold: func(ctx context.Context, program string) {
		if program == "modprobe" {
			once.Do(func() {
				close(held)
				<-ctx.Done()
				close(ended)
			})
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := kforge(t, f, "apply", "--yes", "--bundle", bundleFile)
	var said bytes.Buffer
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	within := time.After(2 * time.Minute)
	wait := func(ch <-chan struct{}, what string) {
		t.Helper()
		select {
		case <-ch:
		case <-within:
			_ = c.Process.Kill()
			t.Fatalf("%s did not happen", what)
		}
	}
	wait(held, "the program on the host")
	told := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for first := true; ; {
			n, err := stderr.Read(buf)
			said.Write(buf[:n])
			if first && strings.Contains(said.String(), "nothing new starts") {
				first = false
				close(told)
			}
			if err != nil {
				return
			}
		}
	})
	_ = c.Process.Signal(os.Interrupt) // the wait below tells
	wait(told, "the first interrupt")
	select {
	case <-ended:
		t.Error("the first interrupt ended the program on the host")
	default:
	}
	_ = c.Process.Signal(os.Interrupt)
	wait(ended, "the end of the program on the host")
	reading.Wait()
	_ = c.Wait() // its code tells
	if code := c.ProcessState.ExitCode(); code != cli.ExitInterrupted {
		t.Errorf("kforge ended with %d, want %d:\n%s", code, cli.ExitInterrupted, said.String())
	}
	settled(t, f)
	for _, m := range f.Machines {
		unlocked(t, m)
	}
}

// A run that was killed is gone on with: what it had finished on a host, the
// next one does not do again. The hosts' own journals tell.
func TestNextRunRepeatsNothing(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3, Program: self(t)})
	if !killAt(t, kforge(t, f, "apply", "--yes", "--bundle", bundleFile, "-o", "json"), 100) {
		t.Fatal("the apply had ended before it was killed")
	}
	settled(t, f)
	if got := finish(t, kforge(t, f, "apply", "--yes", "--bundle", bundleFile)); got.code != 0 {
		t.Fatalf("the next apply ended with %d:\n%s", got.code, got.stderr)
	}
	for _, m := range f.Machines {
		done := map[string]string{} // change to run
		runs := map[string]bool{}
		for line := range strings.Lines(m.Host.ReadFile("/var/lib/kforge/journal.jsonl")) {
			var e agent.Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: journal: %v: %s", m.Name, err, line)
			}
			if e.Outcome != "ok" {
				continue
			}
			runs[e.Run] = true
			what := string(e.Action) + " " + e.Resource
			if was := done[what]; was != "" && was != e.Run {
				t.Errorf("%s: %s was done by %s, and again by %s", m.Name, what, was, e.Run)
			}
			done[what] = e.Run
		}
		if len(runs) != 2 {
			t.Errorf("%s: its journal tells of %d runs, want 2", m.Name, len(runs))
		}
	}
}

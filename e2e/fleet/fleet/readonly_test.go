package fleet_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/host"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/wire"
)

// digests of all hosts' files, in order.
func digests(t testing.TB, f *fleet.Fleet, skip ...string) []string {
	t.Helper()
	out := make([]string, len(f.Machines))
	var wg sync.WaitGroup
	for i, m := range f.Machines {
		wg.Go(func() {
			var err error
			if out[i], err = m.Digest(skip...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

func TestPlanAndCheckChangeNoFileOfFiftyHosts(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 50})
	before := digests(t, f)
	var r record
	view, err := run.Plan(t.Context(), world(f, &r), options(f))
	if err != nil {
		t.Fatal(err)
	}
	settled(t, f)
	planned := map[string]bool{}
	for _, i := range view.Items {
		planned[i.Host] = true
	}
	unchanged(t, f, before, "plan")
	if s := f.Stats(); s.Connections != 50 || s.Sessions != 50 {
		t.Errorf("%d connections and %d sessions for 50 hosts, want one each", s.Connections, s.Sessions)
	}
	for _, m := range f.Machines {
		requests := m.Requests()
		if requests[wire.TFacts] == 0 || requests[wire.TPlan] == 0 || !planned[m.Name] {
			t.Errorf("%s was not asked for all: %v, planned %v", m.Name, requests, planned[m.Name])
		}
		if requests[wire.TLock] != 0 || fleet.Changes(requests) != 0 {
			t.Errorf("%s got mutating requests: %v", m.Name, requests)
		}
	}
	if n := f.API.Mutations(); len(n) != 0 {
		t.Errorf("plan changed the cluster: %v", n)
	}

	report, err := run.Check(t.Context(), world(f, &r), run.CheckOptions{Inventory: f.Inventory})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Hosts) != 50 {
		t.Errorf("check looked at %d hosts", len(report.Hosts))
	}
	settled(t, f)
	unchanged(t, f, before, "check")
	for _, m := range f.Machines {
		requests := m.Requests()
		if requests[wire.TFacts] == 0 || requests[wire.TProbe] == 0 {
			t.Errorf("%s was not checked: %v", m.Name, requests)
		}
		if requests[wire.TLock] != 0 || fleet.Changes(requests) != 0 {
			t.Errorf("%s got mutating requests: %v", m.Name, requests)
		}
	}
}

// unchanged checks that all files of all hosts are as they were.
func unchanged(t *testing.T, f *fleet.Fleet, before []string, command string) {
	t.Helper()
	for i, after := range digests(t, f) {
		if before[i] != after {
			t.Errorf("%s: %s changed its files", f.Machines[i].Name, command)
		}
	}
}

// connect speaks with one host's agent, without a run around it.
func connect(t testing.TB, f *fleet.Fleet, name string, mode wire.Mode) (*host.Host, error) {
	t.Helper()
	c, _, err := inventory.Load(f.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	d, err := ssh.NewDialer(ssh.Config{IdentityFiles: c.SSH.IdentityFiles, KnownHosts: c.SSH.KnownHosts, ConnectTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	h, _ := c.Host(name)
	conn, err := host.Connect(t.Context(), host.Options{
		Dialer: d, Mode: mode, StartTimeout: 20 * time.Second,
		Agents: agentbin.FromBinaries(map[string][]byte{runtime.GOARCH: []byte("any")}),
		Lock:   wire.Lock{User: "ada", Machine: "desk", PID: 42, Command: "kforge apply", Since: "2026-01-02T03:04:05Z"},
	}, ssh.Target{Name: h.Name, Address: h.Address, User: h.User, Port: h.Port})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

func TestReadOnlyAgentRefusesMutatingRequests(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 1})
	before := digests(t, f)
	h, err := connect(t, f, "h001", wire.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Apply(t.Context(), wire.Apply{Resources: []spec.Resource{{
		ID: "file /etc/motd", File: &spec.File{Path: "/etc/motd", Mode: 0o644, Content: []byte("hello\n")},
	}}}, nil)
	if diag.KindOf(err) != diag.ReadOnly {
		t.Errorf("apply of a read-only agent: %v, want kind read-only", err)
	}
	h.Close()
	settled(t, f)
	if got := digests(t, f); got[0] != before[0] {
		t.Error("a read-only agent changed files")
	}
}

func TestSecondApplyStopsAtTheHoldersName(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	// The first apply is held in a program of one host until the second ended.
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
	first := make(chan error, 1)
	var a record
	go func() { first <- apply(t.Context(), f, &a) }()
	select {
	case <-held:
	case err := <-first:
		t.Fatalf("the first apply ended early: %v", err)
	}
	var b record
	err = run.Apply(t.Context(), world(f, &b), options(f))
	close(release)
	if diag.KindOf(err) != diag.Locked {
		t.Errorf("second apply: %v, want kind locked", err)
	} else if want := `for "kforge apply"`; !contains(err, want) || !contains(err, "has held it since") {
		t.Errorf("second apply does not name the holder: %v", err)
	}
	if s := b.summary(t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("second apply made changes: %+v", s)
	}
	if err := <-first; err != nil {
		t.Errorf("first apply: %v", err)
	}
}

func TestLockDiesWithItsHolder(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 1})
	if _, err := connect(t, f, "h001", wire.ReadWrite); err != nil {
		t.Fatal(err)
	}
	if _, err := connect(t, f, "h001", wire.ReadWrite); diag.KindOf(err) != diag.Locked || !contains(err, "ada@desk (pid 42)") {
		t.Fatalf("a second holder: %v, want kind locked and ada@desk", err)
	}
	f.Machines[0].Cut()
	settled(t, f)
	if _, err := connect(t, f, "h001", wire.ReadWrite); err != nil {
		t.Errorf("after the holder was cut off: %v", err)
	}
}

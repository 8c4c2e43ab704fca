package fleet_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

// What all tests share: a mirror, and a bundle of all that it has.
var (
	mirror     *fleet.Mirror
	bundleFile string
)

func TestMain(m *testing.M) {
	asProgram()
	flag.Parse()
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "kforge-fleet-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "preparing tests:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		bundleFile = filepath.Join(dir, "bundle.tar")
		if mirror, err = fleet.NewMirror(); err == nil {
			defer mirror.Close()
			err = mirror.Bundle(context.Background(), bundleFile, filepath.Join(dir, "cache"))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "preparing tests:", err)
			return 1
		}
		return m.Run()
	}())
}

// start makes a fleet for a test, in memory where the machine has a place for
// that: thousands of small files are synced.
func start(t testing.TB, o fleet.Options) *fleet.Fleet {
	t.Helper()
	dir := t.TempDir()
	if mem, err := os.MkdirTemp("/dev/shm", "kforge-fleet-"); err == nil {
		dir = mem
		t.Cleanup(func() { os.RemoveAll(mem) })
	}
	o.Mirror = mirror
	f, err := fleet.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// record keeps the events of a run.
type record struct {
	mu     sync.Mutex
	events []event.Event
	each   func(n int) // told of each event's number, from 1; may be nil
}

func (r *record) Event(e event.Event) {
	r.mu.Lock()
	r.events = append(r.events, e)
	n := len(r.events)
	r.mu.Unlock()
	if r.each != nil {
		r.each(n)
	}
}

func (r *record) Suspend(f func()) { f() }
func (r *record) Close()           {}

// summary is the run's last event.
func (r *record) summary(t testing.TB) *event.SummaryData {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.events) - 1; i >= 0; i-- {
		if e := r.events[i]; e.Event == event.Summary {
			return e.SummaryData
		}
	}
	t.Fatal("the run has no summary")
	return nil
}

// world is kforge's side of the fleet.
func world(f *fleet.Fleet, r *record) *run.Env {
	dir := filepath.Dir(f.Inventory)
	return &run.Env{
		Version: "test", StateDir: filepath.Join(dir, "runs"), CacheDir: filepath.Join(dir, "cache"),
		Agents:    testAgents(),
		Renderers: []ui.Renderer{r},
		Backoff:   func(int) time.Duration { return 50 * time.Millisecond },
	}
}

// options of every run.
func options(f *fleet.Fleet) run.Options {
	return run.Options{Inventory: f.Inventory, Bundle: bundleFile, Yes: true}
}

func apply(ctx context.Context, f *fleet.Fleet, r *record) error {
	return run.Apply(ctx, world(f, r), options(f))
}

// settled waits until all agents have ended.
func settled(t testing.TB, f *fleet.Fleet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, m := range f.Machines {
		if err := m.Idle(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestApplyMakesAClusterAndThenChangesNothing(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3, Cold: true})
	var first record
	if err := apply(t.Context(), f, &first); err != nil {
		t.Fatal(err)
	}
	if s := first.summary(t); s.Changed == 0 || s.Kubeconfig == "" {
		t.Errorf("first apply: %+v", s)
	}
	for _, m := range f.Machines {
		if f.API.Get("/api/v1/nodes/"+m.Name) == nil {
			t.Errorf("%s has no node", m.Name)
		}
		if u := m.Host.Unit("kubelet.service"); u.Active != "active" {
			t.Errorf("%s: kubelet is %s", m.Name, u.Active)
		}
		m.Requests()
	}
	if got := f.Stats().SFTP; got != 3 {
		t.Errorf("%d uploads of the agent, want 3", got)
	}
	var second record
	if err := apply(t.Context(), f, &second); err != nil {
		t.Fatal(err)
	}
	if s := second.summary(t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("second apply: changed %d, mutating requests %d", s.Changed, s.Mutating)
	}
	for _, m := range f.Machines {
		if r := m.Requests(); fleet.Changes(r) != 0 {
			t.Errorf("%s was asked for changes: %v", m.Name, r)
		}
	}
}

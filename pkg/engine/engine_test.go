package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// does is an Executor: what each step does, by id; nothing otherwise.
type does map[string]func(ctx context.Context, sink event.Sink) (int, error)

func (d does) Execute(ctx context.Context, s graph.Step, sink event.Sink) (int, error) {
	if f := d[s.ID]; f != nil {
		return f(ctx, sink)
	}
	return 0, nil
}

// recorder keeps events as short lines.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) sink(e event.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%s %s %s %s", e.Event, e.Step, e.Status, e.Text)
	if e.Error != nil {
		line += fmt.Sprintf(" [%s %s %s] %s", e.Error.Kind, e.Error.Host, e.Error.Step, e.Error.Msg)
	}
	r.lines = append(r.lines, strings.Join(strings.Fields(line), " "))
}

func mustGraph(t *testing.T, steps ...graph.Step) *graph.Graph {
	t.Helper()
	g, err := graph.New(steps)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func step(id string, needs ...string) graph.Step {
	host, what, _ := strings.Cut(id, "/")
	if host == "cluster" {
		host = ""
	}
	return graph.Step{ID: id, Host: host, Title: what, Phase: "prepare", Needs: needs}
}

func after(d time.Duration, changes int) func(context.Context, event.Sink) (int, error) {
	return func(ctx context.Context, _ event.Sink) (int, error) {
		select {
		case <-time.After(d):
			return changes, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func fails(kind diag.Kind) func(context.Context, event.Sink) (int, error) {
	return func(context.Context, event.Sink) (int, error) {
		return 1, diag.New(kind, "", "broken").WithHint("mend it")
	}
}

func TestAHostFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var rec recorder
		res := Run(t.Context(), Config{
			Graph: mustGraph(t, step("n1/a"), step("n1/b"), step("n2/a"), step("n2/b", "n2/a"), step("cluster/c", "n1/b")),
			Sink:  rec.sink,
			Executor: does{
				"n1/a": after(2*time.Second, 2), "n1/b": after(3*time.Second, 0),
				"n2/a": fails(diag.Command), "cluster/c": after(time.Second, 1),
			},
			Hosts:       []string{"n3", "n2", "n1"},
			Unreachable: map[string]error{"n3": diag.New(diag.Unreachable, "dial", "no route to host")},
		})
		failed := &diag.Error{Kind: diag.Command, Host: "n2", Step: "n2/a", Msg: "broken", Hint: "mend it"}
		lost := &diag.Error{Kind: diag.Unreachable, Host: "n3", Op: "dial", Msg: "no route to host"}
		want := &Result{
			Hosts: []event.HostResult{
				{Host: "n3", Status: event.Unreachable, Error: lost},
				{Host: "n2", Status: event.Failed, Changes: 1, Step: "a", Error: failed},
				{Host: "n1", Status: event.Changed, Changes: 2, Seconds: 5},
				{Host: "", Status: event.Changed, Changes: 1, Seconds: 1},
			},
			Changed: 4,
			Phases:  map[string]float64{"prepare": 6},
			Errors:  []*diag.Error{lost, failed},
		}
		if d := cmp.Diff(want, res); d != "" {
			t.Errorf("Run (-want +got):\n%s", d)
		}
		if err := res.Err(); diag.KindOf(err) != diag.Partial || !errors.Is(err, res.Errors[1]) {
			t.Errorf("Err = %v, want kind partial that holds the failure", err)
		}
		wantEvents := []string{
			"graph", "step-start n1/a", "step-start n2/a",
			"step-done n2/a failed [command n2 n2/a] broken",
			"step-done n2/b skipped a failed",
			"step-done n1/a changed", "step-start n1/b", "step-done n1/b ok",
			"step-start cluster/c", "step-done cluster/c changed",
		}
		if d := cmp.Diff(wantEvents, rec.lines); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	})
}

func TestErrRule(t *testing.T) {
	t.Parallel()
	host := func(name string, s event.Status) event.HostResult { return event.HostResult{Host: name, Status: s} }
	bad := []*diag.Error{diag.New(diag.Command, "", "broken")}
	tests := []struct {
		name string
		res  Result
		want diag.Kind
		text string
	}{
		{"nothing failed", Result{Hosts: []event.HostResult{host("a", event.OK)}}, diag.Unknown, ""},
		{"some failed", Result{Hosts: []event.HostResult{host("a", event.OK), host("b", event.Failed)}, Errors: bad}, diag.Partial, "1 of 2 hosts failed: broken"},
		{"all failed", Result{Hosts: []event.HostResult{host("a", event.Failed)}, Errors: bad}, diag.Command, "broken"},
		{"others only skipped", Result{Hosts: []event.HostResult{host("a", event.Failed), host("b", event.Skipped)}, Errors: bad}, diag.Command, "broken"},
		{"the cluster failed", Result{Hosts: []event.HostResult{host("a", event.OK), host("", event.Failed)}, Errors: bad}, diag.Command, "broken"},
		{"stopped", Result{Hosts: []event.HostResult{host("a", event.Skipped)}, Stopped: true}, diag.Canceled, "the run was stopped before it was done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.res.Err()
			if got := diag.KindOf(err); got != tt.want {
				t.Errorf("kind = %q, want %q", got, tt.want)
			}
			if got := fmt.Sprint(err); tt.text != "" && got != tt.text {
				t.Errorf("Err = %q, want %q", got, tt.text)
			}
			if tt.text == "" && err != nil {
				t.Errorf("Err = %v, want nil", err)
			}
		})
	}
}

func TestRetriesByKindWithBackoff(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		kind     diag.Kind
		good     int // the attempt that succeeds
		retries  int
		attempts int
		took     time.Duration
	}{
		{"transport heals", diag.Transport, 3, 0, 3, 5 * time.Second},
		{"time-out stays", diag.Timeout, 9, 0, 3, 5 * time.Second},
		{"command is final", diag.Command, 9, 0, 1, 0},
		{"retries switched off", diag.Transport, 9, -1, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var rec recorder
				attempts := 0
				begin := time.Now()
				res := Run(t.Context(), Config{Graph: mustGraph(t, step("n1/a")), Sink: rec.sink, Retries: tt.retries, Executor: does{
					"n1/a": func(context.Context, event.Sink) (int, error) {
						if attempts++; attempts == tt.good {
							return 1, nil
						}
						return 0, diag.New(tt.kind, "", "broken")
					},
				}})
				if attempts != tt.attempts || time.Since(begin) != tt.took {
					t.Errorf("%d attempts in %s, want %d in %s", attempts, time.Since(begin), tt.attempts, tt.took)
				}
				if good := res.Err() == nil; good != (tt.good == tt.attempts) {
					t.Errorf("Err = %v", res.Err())
				}
				warnings := strings.Count(strings.Join(rec.lines, "\n"), "warning n1/a a: broken; trying again in")
				if warnings != tt.attempts-1 {
					t.Errorf("%d warnings in %q", warnings, rec.lines)
				}
			})
		})
	}
}

func TestStopLetsRunningStepsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		begin := time.Now()
		res := Run(t.Context(), Config{
			Graph: mustGraph(t, step("n1/a"), step("n1/b"), step("n2/a")), Stop: stop,
			Executor: does{"n1/a": after(3*time.Second, 1), "n2/a": fails(diag.Transport)},
			Backoff:  func(int) time.Duration { return time.Hour },
		})
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s, want 3s: the running step ends, the retry is given up", took)
		}
		if !res.Stopped || diag.KindOf(res.Err()) != diag.Canceled {
			t.Errorf("Stopped = %t, Err = %v", res.Stopped, res.Err())
		}
		want := []event.HostResult{
			{Host: "n1", Status: event.Skipped, Changes: 1, Seconds: 3, Because: "the run was stopped"},
			{Host: "n2", Status: event.Failed, Changes: 1, Seconds: 1, Step: "a", Error: &diag.Error{Kind: diag.Transport, Host: "n2", Step: "n2/a", Msg: "broken", Hint: "mend it"}},
		}
		if d := cmp.Diff(want, res.Hosts); d != "" {
			t.Errorf("Hosts (-want +got):\n%s", d)
		}
	})
}

func TestCancelEndsRunningSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, nil)
		defer cancel()
		ctx, interrupt := context.WithCancel(ctx)
		time.AfterFunc(time.Second/2, interrupt)
		begin := time.Now()
		res := Run(ctx, Config{Graph: mustGraph(t, step("n1/a"), step("n1/b")), Executor: does{"n1/a": after(time.Hour, 1)}})
		if took := time.Since(begin); took != time.Second/2 {
			t.Errorf("took %s", took)
		}
		if !res.Stopped || diag.KindOf(res.Err()) != diag.Canceled || len(res.Errors) != 0 {
			t.Errorf("Stopped = %t, Errors = %v, Err = %v", res.Stopped, res.Errors, res.Err())
		}
	})
}

func TestAPanicIsAnErrorOfItsStep(t *testing.T) {
	t.Parallel()
	var rec recorder
	res := Run(t.Context(), Config{Graph: mustGraph(t, step("n1/a"), step("n2/a")), Sink: rec.sink, Executor: does{
		"n1/a": func(context.Context, event.Sink) (int, error) { panic("index out of range") },
	}})
	err := res.Hosts[0].Error
	if err == nil || err.Kind != diag.Internal || err.Step != "n1/a" || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("Error = %v", err)
	}
	if res.Hosts[1].Status != event.OK {
		t.Errorf("n2 is %s", res.Hosts[1].Status)
	}
	if !strings.Contains(strings.Join(rec.lines, "\n"), "goroutine") {
		t.Error("the log has no stack")
	}
}

func TestSkippedHostsSayWhy(t *testing.T) {
	t.Parallel()
	join := step("n2/join", "n1/init")
	res := Run(t.Context(), Config{Graph: mustGraph(t, step("n1/init"), join), Executor: does{"n1/init": fails(diag.Command)}})
	if got := res.Hosts[1]; got.Status != event.Skipped || got.Because != "init failed on n1" {
		t.Errorf("n2 = %+v", got)
	}
	if s := res.Summary(); s.Failed != 1 || s.Skipped != 1 || s.Changed != 1 {
		t.Errorf("Summary = %+v", s)
	}
}

// A drain that takes its time gives its host's place in the window to the next.
func TestSlowStepsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []graph.Step
		for _, host := range []string{"n1", "n2", "n3"} {
			drain, kubelet := step(host+"/drain"), step(host+"/kubelet", host+"/drain")
			drain.Window, kubelet.Window, drain.SlowAfter = "out", "out", 60
			steps = append(steps, drain, kubelet)
		}
		start := time.Now()
		var order []string
		var mu sync.Mutex
		takes := func(id string, d time.Duration) func(context.Context, event.Sink) (int, error) {
			return func(context.Context, event.Sink) (int, error) {
				time.Sleep(d)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, fmt.Sprintf("%s %s", id, time.Since(start)))
				return 0, nil
			}
		}
		res := Run(t.Context(), Config{
			Graph: mustGraph(t, steps...), Limits: graph.Limits{Window: map[string]int{"out": 1}},
			Executor: does{
				"n1/drain": takes("n1/drain", 5*time.Minute), "n1/kubelet": takes("n1/kubelet", time.Second),
				"n2/drain": takes("n2/drain", time.Second), "n2/kubelet": takes("n2/kubelet", time.Second),
				"n3/drain": takes("n3/drain", time.Second), "n3/kubelet": takes("n3/kubelet", time.Second),
			},
		})
		if err := res.Err(); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"n2/drain 1m1s", "n2/kubelet 1m2s", "n3/drain 1m3s", "n3/kubelet 1m4s", "n1/drain 5m0s", "n1/kubelet 5m1s",
		}
		if d := cmp.Diff(want, order); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}

// Package engine runs a graph with the executor given to it: each host at its
// own pace, inside the limits per class of work, with retries by kind of error.
// It tells everything as events, and it knows neither SSH nor Kubernetes.
package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
)

// Executor does the work of one step. Execute is called from many goroutines,
// once per attempt, and returns when the work has ended: it must obey ctx and
// leave nothing running. changes is what it changed, also when it failed. The
// sink takes events of the step (progress, output, changes); host, step and
// phase are filled in where they are empty.
type Executor interface {
	Execute(ctx context.Context, s graph.Step, sink event.Sink) (changes int, err error)
}

// DefaultRetries is how many more times a step is tried.
const DefaultRetries = 2

// Config of a run.
type Config struct {
	Graph    *graph.Graph
	Limits   graph.Limits
	Executor Executor
	Sink     event.Sink // nil drops events
	// Stop, when closed, lets what runs end and starts nothing new. To cancel
	// what runs as well, cancel the context of Run.
	Stop <-chan struct{}
	// Retries after an error whose kind is retryable: how many more attempts.
	// 0 means DefaultRetries, a negative number none.
	Retries int
	// Backoff before attempt n+1, n counting from 1; nil means 1 s, 4 s, 16 s,
	// then 30 s.
	Backoff func(n int) time.Duration
	Now     func() time.Time // nil means time.Now
	// Hosts in the order of the result; others follow in the order of the graph.
	Hosts []string
	// Unreachable are hosts that the caller could not reach. They are part of
	// the result; nothing is run on them.
	Unreachable map[string]error
}

// Run walks the graph to its end and returns when every step that it started
// has returned. It does not fail as such: see Result.Err.
func Run(ctx context.Context, cfg Config) *Result {
	r := newRun(cfg)
	r.loop(ctx)
	return r.result(ctx)
}

// ended is what the goroutine of a step tells the loop.
type ended struct {
	step    graph.Step
	changes int
	err     error
	start   time.Time
}

type run struct {
	cfg   Config
	sched *graph.Scheduler
	done  chan ended
	slow  chan string // ids of steps that take their time
	wg    sync.WaitGroup
	steps map[string]*stepResult // of steps that ended
}

// stepResult is what is kept of a step that ended or was skipped.
type stepResult struct {
	start, end time.Time // zero when skipped
	changes    int
	err        *diag.Error
}

func newRun(cfg Config) *run {
	if cfg.Sink == nil {
		cfg.Sink = func(event.Event) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	if cfg.Retries == 0 {
		cfg.Retries = DefaultRetries
	}
	return &run{
		cfg:   cfg,
		sched: graph.NewScheduler(cfg.Graph, cfg.Limits),
		done:  make(chan ended),
		slow:  make(chan string),
		steps: make(map[string]*stepResult),
	}
}

// loop is the only one to touch the scheduler.
func (r *run) loop(ctx context.Context) {
	steps := make(map[string]int)
	for _, s := range r.cfg.Graph.Steps() {
		steps[s.Host]++
	}
	r.cfg.Sink(event.Event{Event: event.Graph, Total: int64(r.cfg.Graph.Len()), Hosts: r.cfg.Graph.Hosts(), Steps: steps})
	stop, canceled := r.cfg.Stop, ctx.Done()
	for !r.sched.Finished() {
		// What was asked before the loop came round counts before new work.
		select {
		case <-stop:
			stop = nil
			r.skipped(r.sched.Stop())
		case <-canceled:
			canceled = nil
			r.skipped(r.sched.Stop())
		default:
		}
		for _, s := range r.sched.Next() {
			r.start(ctx, s)
		}
		if r.sched.Finished() {
			break
		}
		select {
		case e := <-r.done:
			r.ended(e)
		case id := <-r.slow:
			r.sched.Slow(id)
		case <-stop:
			stop = nil
			r.skipped(r.sched.Stop())
		case <-canceled:
			canceled = nil
			r.skipped(r.sched.Stop())
		}
	}
	r.wg.Wait()
}

func (r *run) start(ctx context.Context, s graph.Step) {
	start := r.cfg.Now()
	r.cfg.Sink(event.Event{Event: event.StepStart, Host: s.Host, Step: s.ID, Phase: s.Phase, Title: s.Title})
	over := make(chan struct{})
	r.wg.Go(func() {
		changes, err := r.attempts(ctx, s)
		close(over)
		r.done <- ended{step: s, changes: changes, err: err, start: start}
	})
	if s.SlowAfter > 0 {
		r.wg.Go(func() { r.watch(s, over) })
	}
}

// watch tells the loop when a step has taken long enough to hold up no others.
func (r *run) watch(s graph.Step, over <-chan struct{}) {
	timer := time.NewTimer(time.Duration(s.SlowAfter) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
		return
	}
	select {
	case r.slow <- s.ID:
	case <-over:
	}
}

func (r *run) ended(e ended) {
	res := &stepResult{start: e.start, end: r.cfg.Now(), changes: e.changes}
	r.steps[e.step.ID] = res
	ev := event.Event{
		Event: event.StepDone, Host: e.step.Host, Step: e.step.ID, Phase: e.step.Phase, Title: e.step.Title,
		Status: event.OK, Changes: e.changes, Seconds: res.end.Sub(res.start).Seconds(),
	}
	switch {
	case e.err != nil:
		res.err = about(e.err, e.step)
		ev.Status, ev.Error = event.Failed, res.err
	case e.changes > 0:
		ev.Status = event.Changed
	}
	r.cfg.Sink(ev)
	r.skipped(r.sched.Done(e.step.ID, e.err == nil))
}

func (r *run) skipped(steps []graph.Step) {
	for _, s := range steps {
		r.cfg.Sink(event.Event{
			Event: event.StepDone, Host: s.Host, Step: s.ID, Phase: s.Phase, Title: s.Title,
			Status: event.Skipped, Text: r.because(s),
		})
	}
}

// because says for a person why a step was skipped.
func (r *run) because(s graph.Step) string {
	_, root := r.sched.Outcome(s.ID)
	switch root {
	case graph.Stopped:
		return "the run was stopped"
	case graph.OverBudget:
		return "too many failures"
	}
	cause, _ := r.cfg.Graph.Step(root)
	switch cause.Host {
	case s.Host:
		return fmt.Sprintf("%s failed", cause.Title)
	case "":
		return fmt.Sprintf("%s failed in the cluster", cause.Title)
	}
	return fmt.Sprintf("%s failed on %s", cause.Title, cause.Host)
}

// about gives err as a *diag.Error that names the host and the step. The error
// itself is not changed: an executor may give the same one to several steps.
func about(err error, s graph.Step) *diag.Error {
	d := *diag.From(err)
	if d.Host == "" {
		d.Host = s.Host
	}
	if d.Step == "" {
		d.Step = s.ID
	}
	if d.Kind == diag.Unknown {
		d.Kind = diag.KindOf(err)
	}
	return &d
}

// attempt executes a step once. A panic is an error of that step: the other
// hosts go on.
func (r *run) attempt(ctx context.Context, s graph.Step, sink event.Sink) (changes int, err error) {
	defer func() {
		if p := recover(); p != nil {
			sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("panic in step %s: %v\n%s", s.ID, p, debug.Stack())})
			err = diag.New(diag.Internal, "run step "+s.ID, "panic: %v", p).
				WithHint("this is a defect of kforge: please report it with the log of this run")
		}
	}()
	return r.cfg.Executor.Execute(ctx, s, sink)
}

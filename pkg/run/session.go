package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/engine"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// session is one run of a command on a cluster.
type session struct {
	env     *Env
	options Options
	command string
	started time.Time

	cluster *inventory.Cluster
	journal *journal.Journal
	sink    event.Sink
	watch   *stopwatch
	mode    wire.Mode

	fleet    *fleet
	briefly  bool // hosts are let go once they are measured
	store    *bundle.Store
	executor *executor

	scope    scope
	parallel map[string]int // by kind of work
	lock     *kube.Lock     // nil when it is not held
	// cancel ends the run for a reason.
	cancel context.CancelCauseFunc

	live *kube.Live // nil while there is no API
	// build makes the steps from what is known.
	build    func(ctx context.Context, in plan.Input) (*plan.Plan, error)
	fallback []string // DNS servers of this machine
	steps    []graph.Step
	window   int // workers that are restarted at one time
	view     ui.PlanView
	// left are hosts without steps, with the reason: not reached, or findings
	// stand in the way.
	left   map[string]error
	result *engine.Result

	restore        *restoration // nil but for kforge etcd restore
	kubeconfigPath string
	inventoryNow   string // what became of the inventory file, for the summary
}

// open reads the inventory and starts the record. An inventory with errors
// leaves no trace: nothing is touched.
func open(e *Env, o Options, command string, mode wire.Mode) (*session, error) {
	c, warnings, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	return openCluster(e, o, c, warnings, command, mode)
}

// openCluster starts the record of a run on a cluster whose inventory was read.
func openCluster(e *Env, o Options, c *inventory.Cluster, warnings []inventory.Warning, command string, mode wire.Mode) (*session, error) {
	sc, err := newScope(c, o.Limit, o.Skip)
	if err != nil {
		return nil, err
	}
	par, err := o.parallelism()
	if err != nil {
		return nil, err
	}
	dir := e.StateDir
	if dir == "" {
		if dir, err = journal.DefaultDir(); err != nil {
			return nil, err
		}
	}
	j, err := journal.Open(dir, command, c.Name, time.Now)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Renderers {
		j.Attach(r)
	}
	s := &session{env: e, options: o, command: command, started: time.Now(), cluster: c, journal: j, sink: j.Sink(), mode: mode, left: map[string]error{}, scope: sc, parallel: par}
	s.build = func(_ context.Context, in plan.Input) (*plan.Plan, error) { return plan.Build(in) }
	s.watch = &stopwatch{sink: s.sink, phases: map[string]float64{}}
	userName, machine := holder(command)
	s.sink(event.Event{Event: event.RunStart, Run: j.ID(), Command: command, Cluster: c.Name, Version: e.Version, User: userName + "@" + machine, Hosts: sc.asked})
	s.tellScope()
	for _, w := range warnings {
		s.sink(event.Event{Event: event.Warning, Text: w.String()})
	}
	return s, nil
}

func (s *session) close() {
	s.unlockCluster()
	if s.executor != nil {
		s.executor.close()
	}
	if s.fleet != nil {
		s.fleet.close()
	}
	if s.store != nil {
		s.store.Close()
	}
	if err := s.journal.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "warning:", err) // the record itself is what failed
	}
}

// meet reaches the hosts, with the artifacts' store open.
func (s *session) meet(ctx context.Context) (err error) {
	if s.store, err = openStore(s.env, s.options, s.cluster); err != nil {
		return err
	}
	// A damaged bundle ends the run before any host is touched.
	if s.options.Bundle != "" {
		if err := s.watch.time("artifacts", func() error { return s.store.Whole(ctx) }); err != nil {
			return err
		}
	}
	return s.reachAsked(ctx)
}

// prepare goes all the way to a plan that could be applied.
func (s *session) prepare(ctx context.Context) error {
	if err := s.meet(ctx); err != nil {
		return err
	}
	var art *artifacts
	if err := s.watch.time("artifacts", func() (err error) {
		art, err = gather(ctx, s.store, s.cluster, s.fleet.facts, s.sink)
		return err
	}); err != nil {
		return err
	}
	fallback := ownResolvers()
	if err := s.preflight(ctx, art, fallback); err != nil {
		return err
	}
	return s.watch.time("plan", func() error { return s.plan(ctx, art, fallback) })
}

// reachAsked connects to the hosts that the run is about, and to the control
// planes that it needs. Without any of the former there is nothing to do.
func (s *session) reachAsked(ctx context.Context) error {
	if err := s.reach(ctx, s.scope.contact(s.cluster)); err != nil {
		return err
	}
	if s.noneLeft() {
		return s.leftErr()
	}
	return nil
}

// reach connects to hosts. Those that were asked for and cannot be reached are
// left out, with the reason.
func (s *session) reach(ctx context.Context, hosts []inventory.ResolvedHost) (err error) {
	userName, machine := holder(s.command)
	lock := wire.Lock{User: userName, Machine: machine, PID: os.Getpid(), Run: s.journal.ID(), Command: "kforge " + s.command, Since: s.started.UTC().Format(time.RFC3339)}
	if s.fleet, err = newFleet(s.env, s.cluster, s.mode, lock, s.sink); err != nil {
		return err
	}
	s.fleet.contact, s.fleet.dials = hosts, s.parallel["dial"]
	if err := s.watch.time("connect", func() error { return s.fleet.connect(ctx) }); err != nil {
		return err
	}
	for name, err := range s.fleet.unreachable {
		if !s.scope.skipped[name] {
			s.left[name] = err
		}
	}
	s.executor = s.newExecutor()
	return nil
}

func (s *session) newExecutor() *executor {
	return &executor{fleet: s.fleet, store: s.store, run: s.journal.ID(), version: s.env.Version, values: map[string]string{}, uploads: newSlots(s.parallel["upload"])}
}

// preflight tells all findings. Errors take the hosts that they concern out of
// the run; an error of the whole fleet ends it.
func (s *session) preflight(ctx context.Context, art *artifacts, fallback []string) error {
	m := newMeasured()
	if s.joining() {
		if err := s.watch.time("measure", func() error {
			s.measure(ctx, m, true)
			return ctx.Err()
		}); err != nil {
			return err
		}
	}
	in := m.input(s)
	in.HasArtifacts, in.FallbackDNS = art.has, fallback
	findings := preflight.Check(in)
	byHost := map[string][]error{}
	var notes []note
	for _, f := range findings {
		if s.scope.skipped[f.Host] {
			continue
		}
		// Workers that wait for their control planes are what a restore is for.
		if s.restore != nil && f.Rule == "stale-join" {
			continue
		}
		if f.Severity != preflight.Error {
			if f.Rule == "resolver" {
				continue // the plan tells it too, with the servers that it takes
			}
			notes = append(notes, note{f.Host, f.Message, f.Hint})
			continue
		}
		byHost[f.Host] = append(byHost[f.Host], &diag.Error{Kind: diag.Preflight, Op: "preflight " + f.Rule, Host: f.Host, Msg: f.Message, Hint: f.Hint})
	}
	s.warn(notes)
	if errs := byHost[""]; errs != nil {
		return errors.Join(errs...)
	}
	for name, errs := range byHost {
		err := errs[0]
		if len(errs) > 1 {
			err = &diag.Error{Kind: diag.Preflight, Host: name, Err: errors.Join(errs...)}
		}
		s.left[name] = err
		delete(s.fleet.facts, name)
	}
	if s.noneLeft() {
		return s.leftErr()
	}
	return nil
}

// leftErr joins why hosts were left out, in the inventory's order.
func (s *session) leftErr() error {
	var errs []error
	for _, name := range s.asked() {
		if err := s.left[name]; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 && len(errs) < len(s.asked()) {
		return &diag.Error{Kind: diag.Partial, Msg: fmt.Sprintf("%d of %d hosts are left out", len(errs), len(s.asked())), Err: errors.Join(errs...)}
	}
	return errors.Join(errs...)
}

// plan makes the steps and asks the hosts what they would change.
func (s *session) plan(ctx context.Context, art *artifacts, fallback []string) error {
	for {
		failed, err := s.planOnce(ctx, art, fallback)
		if err != nil || len(failed) == 0 {
			return err
		}
		// Plan anew without the hosts that were lost on the way.
		for name, err := range failed {
			s.left[name] = err
			s.fleet.lose(name, err)
		}
		if s.noneLeft() {
			return s.leftErr()
		}
	}
}

// planOnce plans for the hosts of which there are facts, and gives those that
// answered no more.
func (s *session) planOnce(ctx context.Context, art *artifacts, fallback []string) (failed map[string]error, err error) {
	in := plan.Input{Cluster: s.cluster, Facts: s.fleet.facts, Artifacts: art, FallbackDNS: fallback, Unreachable: s.unreachable(), Skipped: s.scope.skipped}
	if s.restore != nil {
		in.Restore = s.restore.plan()
		s.executor.local = s.restore.local()
	}
	if s.hasCluster() {
		api, err := s.executor.cluster(ctx)
		if err != nil {
			return nil, err
		}
		state, err := api.Live(ctx)
		if err != nil {
			// Without the API the hosts can still be put right, and that may
			// be what it takes to bring the API back.
			s.sink(event.Event{Event: event.Warning, Text: "the cluster's API does not answer: " + err.Error(), Hint: diag.Hint(err)})
		} else {
			if err := s.lockCluster(ctx, api); err != nil {
				return nil, err
			}
			s.live, in.Live = state, &plan.Live{Networks: plan.LiveNetworks(state.Networks)}
			for _, n := range state.Nodes {
				in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: n.Name, Ready: n.Ready, Kubelet: n.Kubelet, Unschedulable: n.Unschedulable, Labels: n.Labels})
			}
		}
	}
	p, err := s.build(ctx, in)
	if err != nil {
		return nil, err
	}
	s.steps = p.Steps
	var last func(string)
	if s.mode == wire.ReadOnly {
		last = s.letGo
	}
	s.view, s.executor.settled, failed, err = preview(ctx, s.executor, s.steps, in.Live != nil, last)
	if err != nil || len(failed) > 0 {
		return failed, err
	}
	s.view.Hosts = len(s.asked())
	if err := s.inTurns(in.Live); err != nil {
		return nil, err
	}
	var notes []note
	for _, n := range p.Notes {
		notes = append(notes, note{n.Host, n.Message, n.Hint})
	}
	s.warn(notes)
	return nil, nil
}

// inTurns bounds how many nodes of a running cluster are restarted at one time.
func (s *session) inTurns(live *plan.Live) error {
	s.window = 0
	if live == nil {
		return nil
	}
	changes := map[string][]spec.Change{}
	for _, i := range s.view.Items {
		changes[i.Step] = append(changes[i.Step], i.Change)
	}
	var planes []string
	for _, h := range s.cluster.ControlPlanes() {
		planes = append(planes, h.Name)
	}
	steps, restarting := plan.Turns(s.steps, changes, live.Nodes, planes)
	n, err := inventory.Share(s.cluster.MaxRestarting, len(s.cluster.Hosts)-len(planes))
	if err != nil {
		return diag.Wrap(diag.Invalid, "read apply.maxUnavailable", err)
	}
	s.steps, s.window = steps, n
	if restarting > n {
		s.sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("%d workers have containerd or the kubelet restarted, %d at a time (apply.maxUnavailable is %s)",
			restarting, n, s.cluster.MaxRestarting)})
	}
	return nil
}

// letGo closes the connection to a host that has told its plan, since hundreds
// of them take memory. Control planes are the way to the API.
func (s *session) letGo(name string) {
	if h, ok := s.cluster.Host(name); ok && !h.ControlPlane() {
		s.fleet.release(name)
	}
}

// hasCluster tells whether a control plane has finished its init, and was not
// interrupted in it.
func (s *session) hasCluster() bool {
	for _, cp := range s.cluster.ControlPlanes() {
		if f := s.fleet.facts[cp.Name]; f != nil && f.Kubernetes.AdminConf && !kubeadm.HalfDone(f) {
			return true
		}
	}
	return false
}

func hostNames(c *inventory.Cluster) []string {
	var out []string
	for _, h := range c.Hosts {
		out = append(out, h.Name)
	}
	return out
}

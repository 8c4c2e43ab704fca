package run

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/engine"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// UpgradeOptions say where an upgrade goes and how fast.
type UpgradeOptions struct {
	Options
	// To is the version to go to; "" is the inventory's.
	To string
	// MaxUnavailable workers at one time, "" is the inventory's.
	MaxUnavailable string
	// DrainTimeout until a node's pods have to be gone, 0 is the inventory's.
	DrainTimeout time.Duration
}

// upgrade is what a session knows of the way that it goes.
type upgrade struct {
	*session
	target  *inventory.Cluster // of the version to go to
	write   bool               // the version into the inventory file, at the end
	window  int
	drain   time.Duration
	from    string
	path    []string // that is left, the next version first
	art     map[string]*artifacts
	reached string // the last version gone to
}

// Upgrade brings a cluster to another version of Kubernetes, one minor after the
// other. What there is to do follows from what is observed before each of them, so
// that a run goes on where another one, of whatever machine, was cut off.
func Upgrade(ctx context.Context, e *Env, o UpgradeOptions) error {
	u, err := openUpgrade(e, o, wire.ReadWrite)
	if err != nil {
		return err
	}
	defer u.close()
	ctx, u.cancel = context.WithCancelCause(ctx)
	defer u.cancel(nil)
	err = u.run(ctx)
	if lost := context.Cause(ctx); diag.KindOf(lost) == diag.Locked {
		err = lost // what broke off because of it says less
	}
	u.unlockCluster()
	return u.finish(err)
}

// UpgradePlan shows the way and what Upgrade would change first, and changes
// nothing.
func UpgradePlan(ctx context.Context, e *Env, o UpgradeOptions) (ui.PlanView, error) {
	u, err := openUpgrade(e, o, wire.ReadOnly)
	if err != nil {
		return ui.PlanView{}, err
	}
	defer u.close()
	err = u.beforeSteps(ctx, u.prepare)
	if err == nil {
		err = u.beforeSteps(ctx, u.next)
	}
	if err == nil {
		err = u.leftErr()
	}
	return u.view, u.finish(err)
}

func openUpgrade(e *Env, o UpgradeOptions, mode wire.Mode) (*upgrade, error) {
	version := ""
	if o.To != "" {
		var err error
		if version, _, err = inventory.ResolveVersion(o.To); err != nil {
			return nil, diag.Wrap(diag.Invalid, "read --to", err)
		}
	}
	if o.MaxUnavailable != "" {
		if _, err := inventory.Share(o.MaxUnavailable, 1); err != nil {
			return nil, diag.Wrap(diag.Invalid, "read --max-unavailable", err)
		}
	}
	s, err := open(e, o.Options, "upgrade", mode)
	if err != nil {
		return nil, err
	}
	u := &upgrade{session: s, art: map[string]*artifacts{}, drain: cmp.Or(o.DrainTimeout, s.cluster.Drain)}
	u.write = version != "" && version != s.cluster.Version
	u.target = at(s.cluster, cmp.Or(version, s.cluster.Version))
	workers := 0
	for _, h := range s.cluster.Hosts {
		if !h.ControlPlane() {
			workers++
		}
	}
	if u.window, err = inventory.Share(cmp.Or(o.MaxUnavailable, s.cluster.MaxUnavailable), workers); err != nil {
		u.close()
		return nil, diag.Wrap(diag.Invalid, "read maxUnavailable", err)
	}
	u.build = u.buildNext
	return u, nil
}

// at gives the cluster at another version.
func at(c *inventory.Cluster, version string) *inventory.Cluster {
	other := *c
	other.Version = version
	return &other
}

// run goes the way, one version after the other.
func (u *upgrade) run(ctx context.Context) error {
	if err := u.beforeSteps(ctx, u.prepare); err != nil {
		return err
	}
	for {
		if err := u.beforeSteps(ctx, u.next); err != nil {
			return err
		}
		if len(u.path) == 0 {
			return u.arrived(ctx)
		}
		if u.path[0] == u.reached {
			return diag.New(diag.Cluster, "upgrade", "everything was done, and hosts are still not at %s", u.reached).
				WithHint("see the kubelet's version and the control plane's manifests on the hosts: kforge upgrade --plan shows what is missing")
		}
		if u.reached == "" { // one yes is for the whole way
			if err := u.beforeSteps(ctx, u.consent); err != nil {
				return err
			}
		}
		if err := u.goTo(ctx, u.path[0]); err != nil {
			return err
		}
	}
}

// prepare reaches the hosts and looks for reasons not to begin.
func (u *upgrade) prepare(ctx context.Context) error {
	if err := u.meet(ctx); err != nil {
		return err
	}
	art, err := u.artifacts(ctx, u.target.Version)
	if err != nil {
		return err
	}
	u.fallback = ownResolvers()
	if err := u.preflight(ctx, art, u.fallback); err != nil {
		return err
	}
	u.executor = u.newExecutor()
	if !u.hasCluster() {
		return diag.New(diag.Preflight, "upgrade", "there is no cluster on the control planes that were reached").WithHint("run kforge apply first")
	}
	return nil
}

// next looks at hosts and cluster anew and plans the next version of the way.
func (u *upgrade) next(ctx context.Context) error {
	return u.watch.time("plan", func() error {
		if u.reached != "" {
			u.look(ctx)
		}
		if err := u.session.plan(ctx, nil, u.fallback); err != nil {
			return err
		}
		if len(u.path) > 0 {
			u.view.Upgrade = &ui.Upgrade{From: u.from, Path: u.path, MaxUnavailable: u.window}
		}
		return nil
	})
}

// look reads the facts of hosts again. A host that answers no more is left out
// from here on.
func (u *upgrade) look(ctx context.Context) {
	for name, err := range u.fleet.look(ctx) {
		u.left[name] = err
		u.fleet.lose(name, err)
	}
}

// buildNext plans the next version; see session.build.
func (u *upgrade) buildNext(ctx context.Context, in plan.Input) (*plan.Plan, error) {
	in.Cluster = u.target
	from, path, err := plan.UpgradePath(in)
	if err != nil {
		return nil, err
	}
	u.from, u.path = from, path
	if len(path) == 0 {
		return &plan.Plan{}, nil
	}
	for _, version := range path { // what cannot be had is told before anything is changed
		if _, err := u.artifacts(ctx, version); err != nil {
			return nil, err
		}
	}
	in.Cluster, in.Artifacts = at(u.target, path[0]), u.art[path[0]]
	return plan.Upgrade(in, plan.UpgradeOptions{
		Last: len(path) == 1, DrainSeconds: int(u.drain.Seconds()), Snapshot: u.snapshotFile(path[0]),
	})
}

// snapshotFile is beside the inventory, since it holds what the cluster is worth.
func (u *upgrade) snapshotFile(version string) string {
	base := strings.TrimSuffix(u.options.Inventory, filepath.Ext(u.options.Inventory))
	return fmt.Sprintf("%s.etcd-before-%s-%s.db", base, version, u.started.UTC().Format("20060102T150405Z"))
}

// artifacts makes ready what a version needs, once.
func (u *upgrade) artifacts(ctx context.Context, version string) (*artifacts, error) {
	if u.art[version] != nil {
		return u.art[version], nil
	}
	return u.art[version], u.watch.time("artifacts", func() (err error) {
		u.art[version], err = gather(ctx, u.store, at(u.target, version), u.fleet.facts, u.sink)
		return err
	})
}

// goTo runs the steps of the next version.
func (u *upgrade) goTo(ctx context.Context, version string) error {
	u.sink(event.Event{Event: event.Notice, Text: "upgrading " + u.from + " to " + version})
	g, err := graph.New(u.steps)
	if err != nil {
		return err
	}
	limits := u.limits()
	limits.Window = map[string]int{plan.WindowWorkers: u.window}
	result := engine.Run(ctx, engine.Config{
		Graph: g, Limits: limits, Executor: u.executor, Sink: u.sink, Stop: u.env.Stop, Backoff: u.env.Backoff,
		Hosts: u.asked(), Unreachable: u.left,
	})
	u.result = sum(u.result, result)
	u.reached = version
	return result.Err()
}

// arrived ends a run that has nothing left to do.
func (u *upgrade) arrived(ctx context.Context) error {
	if u.result == nil { // there was nothing to do at all
		u.sink(event.Event{Event: event.Notice, Text: "all hosts are at " + u.target.Version})
	}
	if u.write {
		if err := (inventory.Edit{Version: u.target.Version}).File(u.options.Inventory); err != nil {
			return err
		}
		u.sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("%s says version: %s now", u.options.Inventory, u.target.Version)})
	}
	if err := u.kubeconfig(ctx); err != nil { // kubeadm has renewed its certificate
		return err
	}
	if u.result != nil {
		return u.result.Err()
	}
	return u.leftErr()
}

// sum adds up the results of versions gone through one after the other.
func sum(before, last *engine.Result) *engine.Result {
	if before == nil {
		return last
	}
	out := *last
	out.Changed += before.Changed
	out.Phases = map[string]float64{}
	for _, r := range []*engine.Result{before, last} {
		for phase, seconds := range r.Phases {
			out.Phases[phase] += seconds
		}
	}
	out.Hosts = append([]event.HostResult(nil), last.Hosts...)
	for i, h := range out.Hosts {
		for _, b := range before.Hosts {
			if b.Host != h.Host {
				continue
			}
			out.Hosts[i].Changes += b.Changes
			out.Hosts[i].Seconds += b.Seconds
			if h.Status == event.OK && b.Changes > 0 {
				out.Hosts[i].Status = event.Changed
			}
		}
	}
	return &out
}

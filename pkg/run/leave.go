package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/reset"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// LeaveOptions say which hosts leave their cluster, and how.
type LeaveOptions struct {
	Options
	Hosts []string // names; none is the whole cluster, for Reset only
	// Dead: the hosts are gone for good, and are not asked.
	Dead bool
	// Force are names of hosts that leave though pods or data are lost by it.
	Force []string
	// Wipe are disks: HOST:/dev/disk/by-id/...
	Wipe []string
	// DrainTimeout until a node has to be empty, 0 is the inventory's.
	DrainTimeout time.Duration
	// PlanOnly shows what would be removed, and removes nothing.
	PlanOnly bool
}

// leaving is a run by which hosts leave.
type leaving struct {
	*session
	o     LeaveOptions
	hosts []inventory.ResolvedHost
	dead  map[string]bool
	// undrained are those whose pods cannot be waited for, dead ones and others.
	undrained map[string]bool
	force     map[string]bool
	wipe      map[string][]string
}

// Reset takes everything of kforge and its cluster off hosts: all of them, or
// some, which are taken out of their cluster first. The inventory stays as it is,
// so that the next apply can make nodes of them again.
func Reset(ctx context.Context, e *Env, o LeaveOptions) (ui.PlanView, error) {
	return leave(ctx, e, o, "reset")
}

// NodeRemove takes hosts out of their cluster for good, cleans them, and strikes
// them out of the inventory file, which is the last thing it does: until then the
// same command goes on where it was cut off.
func NodeRemove(ctx context.Context, e *Env, o LeaveOptions) (ui.PlanView, error) {
	return leave(ctx, e, o, "node remove")
}

func leave(ctx context.Context, e *Env, o LeaveOptions, command string) (ui.PlanView, error) {
	mode := wire.ReadWrite
	if o.PlanOnly {
		mode = wire.ReadOnly
	}
	o.Limit = o.Hosts
	s, err := open(e, o.Options, command, mode)
	if err != nil {
		return ui.PlanView{}, err
	}
	err = s.whole(ctx, func(ctx context.Context) error {
		l, err := newLeaving(s, o)
		if err != nil {
			return err
		}
		return l.run(ctx)
	})
	return s.view, err
}

func newLeaving(s *session, o LeaveOptions) (*leaving, error) {
	l := &leaving{session: s, o: o, dead: map[string]bool{}, undrained: map[string]bool{}, force: map[string]bool{}, wipe: map[string][]string{}}
	for _, h := range s.cluster.Hosts {
		if !s.scope.skipped[h.Name] {
			l.hosts = append(l.hosts, h)
			l.dead[h.Name], l.undrained[h.Name] = o.Dead, o.Dead
		}
	}
	asked := func(name string) error {
		if !slices.ContainsFunc(l.hosts, func(h inventory.ResolvedHost) bool { return h.Name == name }) {
			return diag.New(diag.Invalid, "", "%q is none of the hosts that leave: %s", name, strings.Join(s.asked(), ", "))
		}
		return nil
	}
	var errs []error
	for _, name := range o.Hosts { // patterns, which --limit takes, take out too much too easily
		if _, ok := s.cluster.Host(name); !ok {
			errs = append(errs, diag.New(diag.Invalid, "", "%q is not the name of a host: hosts that leave are named one by one", name))
		}
	}
	for _, name := range o.Force {
		l.force[name] = true
		errs = append(errs, asked(name))
	}
	for _, text := range o.Wipe {
		name, device, ok := strings.Cut(text, ":")
		if !ok || !strings.HasPrefix(device, "/dev/") {
			errs = append(errs, diag.New(diag.Invalid, "", "--wipe-disks %q is not HOST:/dev/...", text).
				WithHint("name each disk with its host: --wipe-disks n2:/dev/disk/by-id/ata-..."))
			continue
		}
		l.wipe[name] = append(l.wipe[name], device)
		errs = append(errs, asked(name))
	}
	if err := errors.Join(errs...); err != nil || s.command != "node remove" {
		return l, err
	}
	if err := reset.MayLeave(s.cluster, o.Hosts); err != nil {
		return nil, err
	}
	// What cannot be written at the end is told before the beginning.
	data, err := os.ReadFile(o.Inventory)
	if err == nil {
		_, _, err = inventory.Edit{Remove: o.Hosts}.Text(o.Inventory, filepath.Dir(o.Inventory), data)
	}
	return l, err
}

func (l *leaving) run(ctx context.Context) error {
	err := l.beforeSteps(ctx, l.prepare)
	if err == nil && !l.o.PlanOnly {
		err = l.beforeSteps(ctx, l.consent)
	}
	if err != nil || l.o.PlanOnly {
		return err
	}
	if l.everything() { // the API goes away, and the hosts' own locks are held
		l.unlockCluster()
	}
	if err := l.runSteps(ctx); err != nil {
		return err
	}
	return l.strike()
}

// strike takes hosts that were removed out of the inventory file.
func (l *leaving) strike() error {
	if l.command != "node remove" {
		return nil
	}
	if err := (inventory.Edit{Remove: l.o.Hosts}).File(l.o.Inventory); err != nil {
		return diag.Wrap(diag.KindOf(err), "strike "+strings.Join(l.o.Hosts, ", ")+" out of "+l.o.Inventory, err)
	}
	l.inventoryNow = fmt.Sprintf("%s no longer has %s", l.o.Inventory, strings.Join(l.o.Hosts, ", "))
	return nil
}

// everything tells whether the cluster goes as a whole.
func (l *leaving) everything() bool {
	return l.command == "reset" && len(l.hosts) == len(l.cluster.Hosts)
}

// prepare reaches the hosts, looks at the cluster, and makes the steps.
func (l *leaving) prepare(ctx context.Context) error {
	if err := l.reachAll(ctx); err != nil {
		return err
	}
	return l.watch.time("plan", func() error { return l.plan(ctx) })
}

// reachAll reaches the hosts. One that is to leave and cannot be reached is an error,
// unless it is said to be dead or everybody leaves: unreachable is not absent.
func (l *leaving) reachAll(ctx context.Context) error {
	if err := l.reach(ctx, l.contact()); err != nil {
		return err
	}
	l.fleet.leaving = map[string]bool{}
	var lost []error
	for _, h := range l.hosts {
		l.fleet.leaving[h.Name] = true
		if l.dead[h.Name] {
			l.fleet.unreachable[h.Name] = diag.New(diag.Unreachable, "", "said to be dead").On(h.Name)
		} else if err := l.left[h.Name]; err != nil && !l.everything() {
			l.left[h.Name] = &diag.Error{Kind: diag.KindOf(err), Err: err,
				Hint: fmt.Sprintf("%s; or, when it is gone for good: kforge node remove %s --dead", diag.Hint(err), h.Name)}
			lost = append(lost, l.left[h.Name])
		}
	}
	if l.noneLeft() && l.everything() {
		return l.leftErr()
	}
	return errors.Join(lost...)
}

// contact gives the hosts to be reached: those that leave, the control planes,
// and all others where their load balancers have to forget a control plane.
func (l *leaving) contact() []inventory.ResolvedHost {
	planeLeaves := slices.ContainsFunc(l.hosts, inventory.ResolvedHost.ControlPlane)
	return slices.DeleteFunc(slices.Clone(l.cluster.Hosts), func(h inventory.ResolvedHost) bool {
		switch {
		case l.dead[h.Name]:
			return true
		case !l.scope.skipped[h.Name], h.ControlPlane():
			return false
		}
		return !planeLeaves || l.cluster.EndpointMode != inventory.EndpointLocal
	})
}

func (l *leaving) plan(ctx context.Context) error {
	in := reset.Input{
		Cluster: l.cluster, Whole: l.everything(), Undrained: l.undrained, Forced: l.force,
		DrainSeconds: int(cmp.Or(l.o.DrainTimeout, l.cluster.Drain).Seconds()), Staying: maps.Clone(l.fleet.facts), BalancerImage: l.balancerImage,
	}
	for _, h := range l.hosts {
		delete(in.Staying, h.Name)
		if l.left[h.Name] == nil {
			in.Leaving = append(in.Leaving, reset.Host{ResolvedHost: h, Facts: l.fleet.facts[h.Name], Wipe: l.wipe[h.Name]})
		}
	}
	if err := l.ask(ctx, &in); err != nil {
		return err
	}
	steps, err := reset.Steps(in)
	if err != nil {
		return err
	}
	l.steps = steps
	var failed map[string]error
	l.view, l.executor.settled, failed, err = preview(ctx, l.executor, l.steps, in.Live != nil, nil)
	if err != nil {
		return err
	}
	l.view.Hosts = len(l.asked())
	if l.command == "node remove" {
		l.view.Inventory = &ui.FileEdit{File: l.o.Inventory}
		for _, name := range l.o.Hosts {
			l.view.Inventory.Lines = append(l.view.Inventory.Lines, "- "+name)
		}
	}
	return errors.Join(slices.Collect(maps.Values(failed))...)
}

// ask looks at the cluster that the hosts leave, and holds its lock. The hosts of
// a cluster that goes as a whole are cleaned whether its API answers or not; of
// another one nobody is taken out unseen.
func (l *leaving) ask(ctx context.Context, in *reset.Input) error {
	if !l.hasCluster() {
		if l.everything() || !l.clusterElsewhere() {
			return nil
		}
		return diag.New(diag.Unreachable, "look at the cluster", "no control plane that stays can be reached").
			WithHint("bring a control plane back first; to clean all hosts: kforge reset %s", l.o.Inventory)
	}
	api, err := l.executor.cluster(ctx)
	if err != nil {
		return err
	}
	state, err := api.Live(ctx)
	if err != nil {
		if l.everything() {
			l.sink(event.Event{Event: event.Warning, Text: "going on though the cluster's API does not answer: " + err.Error()})
			return nil
		}
		return err
	}
	if err := l.lockCluster(ctx, api); err != nil {
		return err
	}
	in.Live = &plan.Live{}
	for _, n := range state.Nodes {
		in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: n.Name, Ready: n.Ready, Labels: n.Labels})
		if l.dead[n.Name] && n.Ready {
			return diag.New(diag.Preflight, "take out a dead host", "%s is no dead host: its node is Ready", n.Name).On(n.Name).
				WithHint("leave out --dead, or wait until the cluster has noticed that it is gone (a minute)")
		}
	}
	if l.everything() || l.command == "node repair" { // who comes back finds the data on the disks
		return nil
	}
	return l.localData(ctx)
}

// clusterElsewhere tells whether there may be a cluster that was not seen: a
// control plane that stays is out of reach, or a host that leaves has joined one.
func (l *leaving) clusterElsewhere() bool {
	for _, cp := range l.cluster.ControlPlanes() {
		if l.fleet.unreachable[cp.Name] != nil {
			return true
		}
	}
	return slices.ContainsFunc(l.hosts, func(h inventory.ResolvedHost) bool {
		f := l.fleet.facts[h.Name]
		return f != nil && f.Kubernetes.KubeletConf
	})
}

// localData refuses to lose the last copy of data that lie on a host.
func (l *leaving) localData(ctx context.Context) error {
	api, err := l.executor.cluster(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range l.hosts {
		volumes, err := api.LocalVolumes(ctx, h.Name)
		if err != nil {
			return err
		}
		var last []string
		for _, v := range volumes {
			what := fmt.Sprintf("volume %s of claim %s", v.Name, v.Claim)
			switch {
			case !v.Replica && !l.force[h.Name]:
				last = append(last, what)
			case !v.Replica:
				l.sink(event.Event{Event: event.Warning, Host: h.Name, Text: what + " is on this host only: the cluster loses it"})
			default:
				l.sink(event.Event{Event: event.Warning, Host: h.Name, Text: what + " is on this host; another pod of the same controller is ready elsewhere"})
			}
		}
		if len(last) > 0 {
			errs = append(errs, diag.New(diag.Preflight, "take out the host", "its disks hold the only copy of %s", strings.Join(last, ", ")).On(h.Name).
				WithHint("move the data and delete the claims first; or give them up: --force %s", h.Name))
		}
	}
	return errors.Join(errs...)
}

// balancerImage is the load balancer's image of this version of kforge.
func (l *leaving) balancerImage(arch string) (string, error) {
	items, err := bundle.Catalogue(l.cluster.Version, arch)
	if err != nil {
		return "", err
	}
	images := items.For(bundle.LoadBalancer).Images()
	if len(images) == 0 {
		return "", diag.New(diag.NotFound, "find the load balancer's image", "there is none for linux/%s", arch)
	}
	return images[0].Ref, nil
}

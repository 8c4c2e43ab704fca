package run

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// EtcdView is how a cluster's etcd stands.
type EtcdView struct {
	Cluster string        `json:"cluster"`
	Members []etcd.Member `json:"members"`
	etcd.Standing
	Quorum int `json:"quorum"` // voting members that must be healthy
	// Problems are told one a line: members that are unwell, and those that are
	// not what the inventory says.
	Problems []string `json:"problems,omitempty"`
}

// EtcdStatus looks at etcd's members and changes nothing. The view is given
// also when they are unwell: then the error, of kind Cluster, says so.
func EtcdStatus(ctx context.Context, e *Env, o Options) (*EtcdView, error) {
	s, err := lookAtPlanes(ctx, e, o, "etcd status")
	if err != nil {
		return nil, err
	}
	defer s.fleet.close()
	var members []etcd.Member
	if err := s.beforeSteps(ctx, func(ctx context.Context) error {
		c, err := s.fleet.etcd(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		members, err = c.Members(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	view := viewOf(s.cluster, members)
	if len(view.Problems) > 0 {
		return view, diag.New(diag.Cluster, "etcd status", "%s", view.Standing)
	}
	return view, nil
}

func viewOf(c *inventory.Cluster, members []etcd.Member) *EtcdView {
	v := &EtcdView{Cluster: c.Name, Members: members, Standing: etcd.Stand(members)}
	v.Quorum = v.Standing.Quorum()
	planes := map[string]bool{}
	for _, h := range c.ControlPlanes() {
		planes[h.Name] = true
		if !slices.ContainsFunc(members, func(m etcd.Member) bool { return m.Name == h.Name }) {
			v.Problems = append(v.Problems, fmt.Sprintf("%s is a control plane of the inventory, and no member: apply joins it", h.Name))
		}
	}
	for _, m := range members {
		if !m.Healthy {
			v.Problems = append(v.Problems, fmt.Sprintf("%s: %s", m.Title(), m.Problem))
		}
		if !planes[m.Name] {
			v.Problems = append(v.Problems, fmt.Sprintf("%s is a member, and no control plane of the inventory", m.Title()))
		}
	}
	return v
}

// lookAtPlanes reaches the control planes read-only; nothing is recorded.
func lookAtPlanes(ctx context.Context, e *Env, o Options, command string) (*session, error) {
	c, _, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	sink := warningsTo(e)
	s := &session{env: e, options: o, cluster: c, command: command, started: time.Now(), sink: sink, mode: wire.ReadOnly, left: map[string]error{}}
	userName, machine := holder(command)
	lock := wire.Lock{User: userName, Machine: machine, PID: os.Getpid(), Command: "kforge " + command, Since: s.started.UTC().Format(time.RFC3339)}
	if s.fleet, err = newFleet(e, c, wire.ReadOnly, lock, sink); err != nil {
		return nil, err
	}
	s.fleet.contact = c.ControlPlanes()
	if err := s.beforeSteps(ctx, s.fleet.connect); err != nil {
		s.fleet.close()
		return nil, err
	}
	for name, err := range s.fleet.unreachable {
		sink(event.Event{Event: event.Warning, Host: name, Text: err.Error(), Hint: diag.Hint(err)})
	}
	return s, nil
}

// EtcdDefrag has the members that hold much unused space give it back, one
// after the other.
func EtcdDefrag(ctx context.Context, e *Env, o Options) error {
	return onPlanes(ctx, e, o, "etcd defrag", func(context.Context, *session) ([]graph.Step, error) {
		return []graph.Step{{
			ID: "cluster/etcd-defrag", Phase: plan.PhaseEtcd, Class: plan.ClassKube, Title: "etcd gives back unused space",
			Work: &spec.EtcdWork{Defragment: true, Healthy: &spec.EtcdHealthy{}},
		}}, nil
	})
}

// onPlanes does steps about the control planes: it reaches them, shows what the
// steps would change, asks, and runs them. Its last event is the summary.
func onPlanes(ctx context.Context, e *Env, o Options, command string, steps func(context.Context, *session) ([]graph.Step, error)) error {
	s, err := openPlanes(e, o, command)
	if err != nil {
		return err
	}
	return s.whole(ctx, func(ctx context.Context) error { return s.planes(ctx, steps) })
}

// openPlanes begins a run that is about control planes alone.
func openPlanes(e *Env, o Options, command string) (*session, error) {
	o.Limit = []string{"role:" + inventory.RoleControlPlane}
	return open(e, o, command, wire.ReadWrite)
}

func (s *session) planes(ctx context.Context, steps func(context.Context, *session) ([]graph.Step, error)) error {
	if err := s.beforeSteps(ctx, func(ctx context.Context) error { return s.planPlanes(ctx, steps) }); err != nil {
		return err
	}
	if err := s.beforeSteps(ctx, s.consent); err != nil {
		return err
	}
	return s.runSteps(ctx)
}

// planPlanes reaches the control planes and finds what the steps would change.
func (s *session) planPlanes(ctx context.Context, steps func(context.Context, *session) ([]graph.Step, error)) error {
	if err := s.reachAsked(ctx); err != nil {
		return err
	}
	return s.watch.time("plan", func() (err error) {
		if s.steps, err = steps(ctx, s); err != nil {
			return err
		}
		var failed map[string]error
		s.view, s.executor.settled, failed, err = preview(ctx, s.executor, s.steps, true, nil)
		for name, why := range failed {
			s.left[name] = why
		}
		if err == nil && len(failed) > 0 {
			err = s.leftErr()
		}
		s.view.Hosts = len(s.asked())
		return err
	})
}

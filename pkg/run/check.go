package run

import (
	"context"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/wire"
)

// CheckOptions say which hosts are checked.
type CheckOptions struct {
	Inventory string
	// Limit and Skip choose hosts, see inventory.Cluster.Select. Ways to hosts
	// that are not chosen are not measured.
	Limit, Skip []string
}

// Check measures hosts and the ways between them, and holds all rules against
// it. It changes nothing: the agents refuse to. The report has everything, also
// hosts that were not reached; the error is of runs that could not check at all.
// Warnings go to the renderers; nothing is recorded.
func Check(ctx context.Context, e *Env, o CheckOptions) (*preflight.Report, error) {
	sink := warningsTo(e)
	c, err := choose(o)
	if err != nil {
		return nil, err
	}
	s := &session{env: e, cluster: c, command: "check", started: time.Now(), sink: sink, left: map[string]error{}}
	s.watch = &stopwatch{sink: sink, phases: map[string]float64{}}
	userName, machine := holder(s.command)
	lock := wire.Lock{User: userName, Machine: machine, PID: os.Getpid(), Command: "kforge check", Since: s.started.UTC().Format(time.RFC3339)}
	if s.fleet, err = newFleet(e, c, wire.ReadOnly, lock, sink); err != nil {
		return nil, err
	}
	defer s.fleet.close()
	m := newMeasured()
	s.briefly = true
	if err := s.beforeSteps(ctx, func(ctx context.Context) error { return s.survey(ctx, m) }); err != nil {
		return nil, err
	}
	in := m.input(s)
	in.Unreachable, in.FallbackDNS = s.fleet.unreachable, ownResolvers()
	return preflight.Examine(in), nil
}

// survey meets all hosts, and has each measure from the moment on when it was
// met.
func (s *session) survey(ctx context.Context, m *measured) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.fleet.connect(ctx) })
	g.Go(func() error {
		s.measure(ctx, m, false)
		return ctx.Err()
	})
	return g.Wait()
}

// choose reads the inventory and keeps the hosts that are asked for. Its
// warnings are those of `inventory validate`, which check is not.
func choose(o CheckOptions) (*inventory.Cluster, error) {
	all, _, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	names, err := all.Select(o.Limit, o.Skip)
	if err != nil {
		return nil, err
	}
	some := *all
	some.Hosts = slices.DeleteFunc(slices.Clone(all.Hosts), func(h inventory.ResolvedHost) bool { return !slices.Contains(names, h.Name) })
	return &some, nil
}

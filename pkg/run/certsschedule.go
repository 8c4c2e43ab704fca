package run

import (
	"context"
	"os"
	"path/filepath"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// ScheduleRenewal has the control planes renew their certificates on another
// schedule (systemd's OnCalendar, or "off"), and writes it into the inventory.
func ScheduleRenewal(ctx context.Context, e *Env, o Options, schedule string) error {
	data, err := os.ReadFile(o.Inventory)
	if err != nil {
		return diag.Wrap(diag.Invalid, "read inventory", err)
	}
	_, warnings, err := inventory.Load(o.Inventory) // its errors first: they are not about the edit
	if err != nil {
		return err
	}
	edit := inventory.Edit{Renewal: schedule}
	_, c, err := edit.Text(o.Inventory, filepath.Dir(o.Inventory), data)
	if err != nil {
		return err
	}
	o.Limit = []string{"role:" + inventory.RoleControlPlane}
	s, err := openCluster(e, o, c, warnings, "certs schedule", wire.ReadWrite)
	if err != nil {
		return err
	}
	return s.whole(ctx, func(ctx context.Context) error { return s.schedule(ctx, edit) })
}

func (s *session) schedule(ctx context.Context, edit inventory.Edit) error {
	err := s.beforeSteps(ctx, func(ctx context.Context) error {
		return s.planPlanes(ctx, func(context.Context, *session) ([]graph.Step, error) { return s.timerSteps() })
	})
	if err != nil {
		return err
	}
	s.view.Inventory = &ui.FileEdit{File: s.options.Inventory, Lines: []string{"+ spec.certificates.renewal.schedule: " + edit.Renewal}}
	if err := s.beforeSteps(ctx, s.consent); err != nil {
		return err
	}
	if err := edit.File(s.options.Inventory); err != nil {
		return err
	}
	s.inventoryNow = s.options.Inventory + " says renewal.schedule: " + edit.Renewal + " now"
	return s.runSteps(ctx)
}

// timerSteps are those by which the control planes get their timers.
func (s *session) timerSteps() (steps []graph.Step, err error) {
	for _, h := range s.cluster.ControlPlanes() {
		f := s.fleet.facts[h.Name]
		if f == nil || !f.Kubernetes.AdminConf || s.left[h.Name] != nil {
			continue
		}
		tools, err := s.certTools(h, f)
		if err != nil {
			return nil, err
		}
		timer, err := node.CertTimer(s.cluster.Certificates.Renewal)
		if err != nil {
			return nil, err
		}
		steps = append(steps, graph.Step{
			ID: h.Name + "/certificates", Host: h.Name, Phase: plan.PhaseControlPlane, Class: plan.ClassHost, Title: "certificates are renewed by a timer",
			Work: &spec.HostWork{Resources: append(tools, timer...)},
		})
	}
	if len(steps) == 0 {
		return nil, noClusterReached("schedule the renewal of certificates", s.options.Inventory)
	}
	return steps, nil
}

func noClusterReached(op, file string) error {
	return diag.New(diag.Preflight, op, "no control plane that was reached has a cluster").WithHint("kforge apply %s", file)
}

package run

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/engine"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// Apply brings hosts and cluster to what the inventory asks for. Its last event
// is the summary, whatever happens; the error says why it is not whole.
func Apply(ctx context.Context, e *Env, o Options) error {
	return applyAs(ctx, e, o, "apply", nil)
}

// applyAs applies under a command's name, with a cluster to be restored or nil.
func applyAs(ctx context.Context, e *Env, o Options, command string, r *restoration) error {
	s, err := open(e, o, command, wire.ReadWrite)
	if err != nil {
		return err
	}
	s.restore = r
	return s.whole(ctx, s.apply)
}

// whole is a run that changes something, from its record to its summary.
func (s *session) whole(ctx context.Context, work func(context.Context) error) error {
	defer s.close()
	ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	err := work(ctx)
	if lost := context.Cause(ctx); diag.KindOf(lost) == diag.Locked {
		err = lost // what broke off because of it says less
	}
	s.unlockCluster()
	return s.finish(err)
}

func (s *session) apply(ctx context.Context) error {
	if err := s.beforeSteps(ctx, s.prepare); err != nil {
		return err
	}
	if err := s.beforeSteps(ctx, s.consent); err != nil {
		return err
	}
	return s.execute(ctx)
}

// execute does the steps that were agreed to.
func (s *session) execute(ctx context.Context) error {
	if err := s.runSteps(ctx); err != nil {
		return err
	}
	return s.kubeconfig(ctx)
}

func (s *session) runSteps(ctx context.Context) error {
	g, err := graph.New(s.steps)
	if err != nil {
		return err
	}
	s.result = engine.Run(ctx, engine.Config{
		Graph: g, Limits: s.limits(), Executor: s.executor, Sink: s.sink, Stop: s.env.Stop, Backoff: s.env.Backoff,
		Hosts: s.asked(), Unreachable: s.left,
	})
	return s.result.Err()
}

// Plan shows what Apply would change, and changes nothing.
func Plan(ctx context.Context, e *Env, o Options) (ui.PlanView, error) {
	s, err := open(e, o, "plan", wire.ReadOnly)
	if err != nil {
		return ui.PlanView{}, err
	}
	defer s.close()
	err = s.beforeSteps(ctx, s.prepare)
	if err == nil {
		err = s.leftErr()
	}
	return s.view, s.finish(err)
}

// beforeSteps does work that the first Ctrl-C ends at once: as long as no step
// runs there is nothing on the hosts that should be let end.
func (s *session) beforeSteps(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.env.Stop:
			cancel(diag.New(diag.Canceled, "", "interrupted before anything was changed").
				WithHint("run the same command again: it goes on from what it finds"))
		case <-ctx.Done():
		}
	})
	err := work(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // what broke off says less than why
	}
	cancel(nil)
	watch.Wait()
	return err
}

// consent shows the plan and asks, unless the user said yes before or there is
// nothing to agree to.
func (s *session) consent(ctx context.Context) error {
	if s.restore != nil {
		s.sink(event.Event{Event: event.Warning, Text: s.restore.String()})
	}
	if s.options.Yes || len(s.view.Items) == 0 && s.view.Inventory == nil {
		return nil
	}
	if s.env.Confirm == nil {
		err := diag.New(diag.Consent, s.command, "%d changes are planned, and there is no terminal to ask for a yes", len(s.view.Items)).
			WithHint("add --yes to agree beforehand")
		switch s.command {
		case "reset", "node remove", "node repair":
			err = err.WithHint("look at them with --plan, then add --yes")
		case "apply":
			err = err.WithHint("look at them with `kforge plan %s`, then add --yes", s.options.Inventory)
		}
		if s.command == "upgrade" {
			err = err.WithHint("look at them with `kforge upgrade --plan %s`, then add --yes", s.options.Inventory)
		}
		return err
	}
	ok, err := s.env.Confirm(ctx, s.view)
	if err != nil {
		return err
	}
	if !ok {
		return diag.New(diag.Consent, s.command, "not agreed: nothing was changed")
	}
	return nil
}

// kubeconfig writes the admin's kubeconfig beside the inventory, readable by
// its owner only.
func (s *session) kubeconfig(ctx context.Context) error {
	if !slices.ContainsFunc(s.cluster.ControlPlanes(), func(h inventory.ResolvedHost) bool { return !s.scope.skipped[h.Name] }) && !s.hasCluster() {
		return nil
	}
	conf, err := s.fleet.adminConf(ctx)
	if err != nil {
		return err
	}
	conf, err = kube.AdminKubeconfig(conf, "https://"+adminServer(s.cluster), s.cluster.Name)
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(s.options.Inventory, filepath.Ext(s.options.Inventory)) + ".kubeconfig"
	if err := replaceFile(path, conf, 0o600); err != nil {
		return &diag.Error{Op: "write kubeconfig", Err: err, Hint: "the cluster is fine; make the inventory's folder writable and run apply again"}
	}
	s.kubeconfigPath = path
	return nil
}

// adminServer is host:port of the API as people reach it. The load balancers of
// nodes are there for nodes only: people get the first control plane.
func adminServer(c *inventory.Cluster) string {
	if c.EndpointMode != inventory.EndpointLocal {
		return c.Endpoint
	}
	first := c.ControlPlanes()[0]
	return net.JoinHostPort(cmp.Or(first.NodeIP, first.Address), kubeadm.APIPort)
}

// leftResults tells of the hosts that were left out, when no steps were run.
func (s *session) leftResults() (out []event.HostResult) {
	for _, name := range s.asked() {
		if err := s.left[name]; err != nil {
			out = append(out, event.HostResult{Host: name, Status: event.Unreachable, Error: diag.From(err)})
		}
	}
	return out
}

// finish sends the summary and returns err.
func (s *session) finish(err error) error {
	d := &event.SummaryData{}
	if s.result != nil {
		d = s.result.Summary()
	} else {
		d.Results = s.leftResults()
		d.Unreachable = len(d.Results)
	}
	for i, r := range d.Results { // what was reached and has findings is not lost
		if r.Status != event.Unreachable {
			continue
		}
		if kind := diag.KindOf(r.Error); kind == diag.Preflight || kind == diag.Foreign {
			d.Results[i].Status = event.Failed
			d.Unreachable, d.Failed = d.Unreachable-1, d.Failed+1
		}
	}
	if d.Phases == nil {
		d.Phases = map[string]float64{}
	}
	for k, v := range s.watch.phases {
		d.Phases[k] = v
	}
	if s.fleet != nil {
		d.Mutating = s.fleet.mutating()
	}
	d.NotAsked = s.scope.notAsked(s.cluster)
	d.Kubeconfig, d.Log, d.Inventory = s.kubeconfigPath, s.journal.LogPath(), s.inventoryNow
	if err == nil && s.kubeconfigPath != "" {
		d.Next = []string{
			fmt.Sprintf("kubectl --kubeconfig %s get nodes", s.kubeconfigPath),
			fmt.Sprintf("kforge plan %s    # what would change now", s.options.Inventory),
		}
	}
	ev := event.Event{Event: event.Summary, Command: s.command, Cluster: s.cluster.Name,
		Seconds: time.Since(s.started).Seconds(), SummaryData: d, Status: event.OK}
	if err != nil {
		ev.Error, ev.Status = diag.From(err), event.Failed
	} else if d.Changed > 0 {
		ev.Status = event.Changed
	}
	s.sink(ev)
	return err
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	if err := tmp.Chmod(mode); err != nil {
		tmp.Close()
		return err
	}
	if _, err := tmp.Write(content); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

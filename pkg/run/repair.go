package run

import (
	"context"
	"fmt"
	"time"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/reset"
	"kforge.dev/kforge/pkg/ui"
	"kforge.dev/kforge/pkg/wire"
)

// kubeletConfig is what a kubelet that has joined lives by, beside its certificate.
const kubeletConfig = "/var/lib/kubelet/config.yaml"

// verdict on a broken node.
type verdict int

const (
	fine   verdict = iota
	drifts         // apply can put it right, or join it
	broken         // it has to be taken out, cleaned and joined anew
)

// NodeRepair puts a node right. What apply can mend, apply mends, on this host
// alone; a host whose kubelet lost its identity or its data, and one for which
// rejoin is set, is taken out of the cluster, cleaned, and joined again under its
// name. Data on its own disks outlive that.
func NodeRepair(ctx context.Context, e *Env, o LeaveOptions, rejoin bool) (ui.PlanView, error) {
	mode := wire.ReadWrite
	if o.PlanOnly {
		mode = wire.ReadOnly
	}
	o.Limit = o.Hosts
	s, err := open(e, o.Options, "node repair", mode)
	if err != nil {
		return ui.PlanView{}, err
	}
	var found verdict
	if err := s.whole(ctx, func(ctx context.Context) error {
		l, err := newLeaving(s, o)
		if err == nil {
			found, err = l.repair(ctx, rejoin)
		}
		return err
	}); err != nil || found == fine || o.PlanOnly {
		return s.view, err
	}
	again := o.Options
	again.Yes = again.Yes || found == broken // that it joins again was agreed to
	return s.view, Apply(ctx, e, again)
}

// repair finds what is wrong, and takes the host out when that is what it needs.
func (l *leaving) repair(ctx context.Context, rejoin bool) (found verdict, err error) {
	err = l.beforeSteps(ctx, func(ctx context.Context) error {
		if err := l.reachAll(ctx); err != nil {
			return err
		}
		var why string
		if found, why, err = l.examine(ctx); err != nil {
			return err
		}
		if rejoin && found != broken {
			found, why = broken, "it is to join anew"
		}
		name := l.o.Hosts[0]
		switch found {
		case fine:
			l.sink(event.Event{Event: event.Notice, Text: name + " is a Ready node, and nothing is found wrong with it; to join it anew all the same: --rejoin"})
			return nil
		case drifts:
			l.sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("%s: %s; apply puts it right, on this host alone", name, why)})
			return nil
		}
		l.sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("%s: %s; it is taken out of the cluster, cleaned and joined again", name, why)})
		if err := reset.MayLeave(l.cluster, l.o.Hosts); err != nil {
			return diag.Wrap(diag.Preflight, "join "+name+" anew", err).
				WithHint("it is the only control plane and holds the cluster's data: restore it from a snapshot, see kforge etcd restore")
		}
		if err := l.watch.time("plan", func() error { return l.plan(ctx) }); err != nil {
			return err
		}
		if l.o.PlanOnly {
			return nil
		}
		return l.consent(ctx)
	})
	if err != nil || found != broken || l.o.PlanOnly {
		return found, err
	}
	return found, l.runSteps(ctx)
}

// examine tells what is wrong with the host.
func (l *leaving) examine(ctx context.Context) (verdict, string, error) {
	h := l.hosts[0]
	api, err := l.executor.cluster(ctx)
	if err != nil {
		return fine, "", err
	}
	state, err := api.Live(ctx)
	if err != nil {
		return fine, "", err
	}
	node, there := state.Node(h.Name)
	l.undrained[h.Name] = !node.Ready // nobody there would end the pods
	if l.fleet.facts[h.Name].Kubernetes.KubeletConf {
		why, err := l.damage(ctx, h.Name)
		switch {
		case err != nil:
			return fine, "", err
		case why != "":
			return broken, why, nil
		case !there:
			return broken, "the cluster has forgotten its node", nil
		}
	}
	switch {
	case !l.fleet.facts[h.Name].Kubernetes.KubeletConf:
		return drifts, "it has not joined the cluster, or has lost all of it", nil
	case !node.Ready:
		return drifts, "its node is not Ready", nil
	}
	return fine, "", nil
}

// damage says what a kubelet that has joined cannot go on without, "" for
// nothing.
func (l *leaving) damage(ctx context.Context, name string) (string, error) {
	h, err := l.fleet.host(ctx, name)
	if err != nil {
		return "", err
	}
	if _, err := h.Read(ctx, kubeletConfig, 1); diag.KindOf(err) == diag.NotFound {
		return kubeletConfig + " is gone", nil
	} else if err != nil {
		return "", err
	}
	raw, err := h.Read(ctx, certs.Kubelet.Path, 1<<20)
	if diag.KindOf(err) == diag.NotFound {
		return "the kubelet's certificate is gone", nil
	}
	if err != nil {
		return "", err
	}
	return spoiled(raw, time.Now()), nil
}

// spoiled says what is wrong with a kubelet's certificate.
func spoiled(raw []byte, now time.Time) string {
	end, err := certs.End(raw)
	switch {
	case err != nil:
		return "the kubelet's certificate cannot be read"
	case now.After(end):
		return fmt.Sprintf("the kubelet's certificate expired on %s", end.Format(time.DateOnly))
	}
	return ""
}

package run

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/reset"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ui"
)

// preview asks hosts and cluster what the steps would change: one request per
// host. It also tells which steps are settled: in place, after only such steps
// on their host, so that nothing of this run can unsettle them. failed are the
// hosts that gave no answer: without them view and settled are of no use.
//
// last is told of each host that answered, when nothing more is asked of it; nil
// when steps follow.
func preview(ctx context.Context, x *executor, steps []graph.Step, apiUp bool, last func(host string)) (view ui.PlanView, settled map[string]bool, failed map[string]error, err error) {
	byHost := map[string][]graph.Step{}
	for _, s := range steps {
		byHost[s.Host] = append(byHost[s.Host], s)
	}
	found := make(map[string][]spec.Change, len(steps)) // by step
	type answer struct {
		step    string
		changes []spec.Change
	}
	answers := make(chan []answer, len(byHost))
	var mu sync.Mutex
	failed = map[string]error{}
	// alone notes what is wrong with one host: it does not stop the others. A
	// lock does, since two runs must not work on one cluster.
	alone := func(ctx context.Context, name string, err error) error {
		if ctx.Err() != nil || diag.KindOf(err) == diag.Locked {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		failed[name] = err
		return nil
	}
	words := &dictionary{known: map[string]string{}}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(previews)
	for name, mine := range byHost {
		g.Go(func() error {
			var out []answer
			if name == "" {
				for _, s := range mine {
					changes, err := previewKube(ctx, x, s, apiUp)
					if err != nil {
						return err
					}
					out = append(out, answer{s.ID, changes})
				}
				answers <- out
				return nil
			}
			var all []spec.Resource
			owner := map[string]string{} // resource to step
			asked := map[string][]spec.Change{}
			onHost := false
			for _, s := range mine {
				if w, ok := s.Work.(*spec.HostWork); ok {
					onHost = true
					for _, r := range w.Resources {
						owner[r.ID] = s.ID
						all = append(all, r)
					}
					continue
				}
				// What a host brings to the cluster is known when it has joined; what
				// goes with one that leaves is there to be seen.
				if s.Phase == reset.PhaseLeave {
					changes, err := previewKube(ctx, x, s, apiUp)
					if err != nil {
						return err
					}
					asked[s.ID] = changes
				}
			}
			if !onHost { // nothing is done on the host itself, which may be dead
				for _, s := range mine {
					out = append(out, answer{s.ID, asked[s.ID]})
				}
				answers <- out
				return nil
			}
			h, err := x.fleet.host(ctx, name)
			if err != nil {
				return alone(ctx, name, err)
			}
			changes, err := h.Plan(ctx, all)
			if err != nil {
				return alone(ctx, name, err)
			}
			mu.Lock()
			whole := len(failed) == 0 // else it is all planned anew
			mu.Unlock()
			if last != nil && whole {
				last(name)
			}
			at := map[string]int{}
			for _, s := range mine {
				at[s.ID] = len(out)
				out = append(out, answer{s.ID, asked[s.ID]})
			}
			for _, c := range changes {
				i := at[owner[c.Resource]]
				out[i].changes = append(out[i].changes, words.change(c))
			}
			if apiUp { // the host's own objects: its node
				for i, s := range mine {
					changes, err := previewKube(ctx, x, s, apiUp)
					if diag.KindOf(err) == diag.Foreign { // a pod that a drain would lose
						return alone(ctx, name, err)
					}
					if err != nil {
						return err
					}
					out[i].changes = append(out[i].changes, changes...)
				}
			}
			answers <- out
			return nil
		})
	}
	if err := g.Wait(); err != nil || len(failed) > 0 {
		return ui.PlanView{}, nil, failed, err
	}
	close(answers)
	for list := range answers {
		for _, a := range list {
			found[a.step] = a.changes
		}
	}

	view = ui.PlanView{}
	settled = map[string]bool{}
	unsettled := map[string]bool{} // hosts
	for _, s := range steps {
		for _, c := range found[s.ID] {
			view.Items = append(view.Items, ui.PlanItem{Host: s.Host, Step: s.ID, Title: s.Title, Change: c})
		}
		if len(found[s.ID]) > 0 {
			unsettled[s.Host] = true
		}
		if _, onHost := s.Work.(*spec.HostWork); onHost && !unsettled[s.Host] {
			settled[s.ID] = true
		}
	}
	return view, settled, nil, nil
}

// previews is how many hosts are asked at a time: requests and answers are
// large, and on the way there are several copies of each.
const previews = 128

// dictionary keeps one copy of each text: hosts say much the same.
type dictionary struct {
	mu    sync.Mutex
	known map[string]string
}

func (d *dictionary) change(c spec.Change) spec.Change {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, text := range []*string{&c.Resource, (*string)(&c.Action), &c.Why, &c.Detail, &c.Diff, &c.Pending} {
		if same, ok := d.known[*text]; ok {
			*text = same
		} else {
			d.known[*text] = *text
		}
	}
	return c
}

// previewKube observes the cluster's side of a step; before there is an API
// everything is still to be made.
func previewKube(ctx context.Context, x *executor, s graph.Step, apiUp bool) ([]spec.Change, error) {
	if w, ok := s.Work.(*spec.EtcdWork); ok && apiUp {
		members, err := x.members(ctx)
		if err != nil {
			return nil, err
		}
		return members.Plan(ctx, *w)
	}
	w, ok := s.Work.(*spec.KubeWork)
	if !ok {
		return nil, nil
	}
	if apiUp {
		api, err := x.cluster(ctx)
		if err != nil {
			return nil, err
		}
		return api.Plan(ctx, *w)
	}
	var out []spec.Change
	for _, o := range w.Objects {
		for _, name := range kube.ObjectNames(o.Manifest) {
			out = append(out, spec.Change{Resource: name, Action: spec.Create, Why: o.Why, Pending: "known after kubeadm init"})
		}
	}
	return out, nil
}

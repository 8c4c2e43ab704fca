package run

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/addon"
	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/wire"
)

// statusPatience bounds what is asked of one part of a cluster: a part that does
// not answer must not hide the others.
const statusPatience = 20 * time.Second

// Status looks at a whole cluster and changes nothing: hosts, API, components,
// etcd, certificates, add-ons, and what apply would change. Whatever cannot be
// looked at is in the view with its reason; the error is of looks that could not
// be taken at all. Nothing is recorded.
func Status(ctx context.Context, e *Env, o Options) (*StatusView, error) {
	s, err := lookAtAll(e, o, "status")
	if err != nil {
		return nil, err
	}
	defer s.fleet.close()
	c := s.cluster
	v := &StatusView{Cluster: c.Name, Inventory: o.Inventory, Time: s.started.UTC(), Wanted: c.Version}
	if v.LastRun, err = newestChange(e.StateDir, c.Name); err != nil {
		return nil, err
	}
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		if err := s.fleet.connect(ctx); err != nil {
			return err
		}
		s.status(ctx, v)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	v.judge()
	return v, nil
}

// lookAtAll is a session that looks at all hosts of an inventory, read-only; nothing
// is recorded. Its fleet is to be closed.
func lookAtAll(e *Env, o Options, command string) (*session, error) {
	c, _, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	s := &session{env: e, options: o, cluster: c, command: command, started: time.Now(), sink: warningsTo(e), mode: wire.ReadOnly, left: map[string]error{}, parallel: parallel}
	s.watch = &stopwatch{sink: s.sink, phases: map[string]float64{}}
	if s.scope, err = newScope(c, nil, nil); err != nil {
		return nil, err
	}
	return s, s.look(c.Hosts)
}

// status asks all parts side by side; what apply would change comes last, since
// hosts may be lost by asking.
func (s *session) status(ctx context.Context, v *StatusView) {
	v.API = APIView{Endpoint: s.cluster.Endpoint, Mode: s.cluster.EndpointMode, Admin: adminServer(s.cluster)}
	v.Nodes = compareNodes(s.cluster, &live.State{})
	var parts sync.WaitGroup
	parts.Go(func() { s.statusOfAPI(ctx, v) })
	parts.Go(func() { v.Certificates = s.expiries(ctx) })
	if s.hasCluster() {
		parts.Go(func() { v.Etcd, v.EtcdError = s.statusOfEtcd(ctx) })
	}
	parts.Wait()
	for i := range v.Nodes {
		v.Nodes[i].meet(s.fleet)
	}
	v.Components = s.components(v.pods, v.API.Answers)
	if s.hasCluster() && ctx.Err() == nil {
		v.Drift = s.drift(ctx)
	}
}

func (s *session) statusOfAPI(ctx context.Context, v *StatusView) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	err := func() error {
		api, err := s.api(ctx)
		if err != nil {
			return err
		}
		defer api.Close()
		state, err := api.Live(ctx)
		if err != nil {
			return err
		}
		v.API.Answers, v.Version, v.Nodes = true, state.Version, compareNodes(s.cluster, state)
		if v.API.Unready, err = api.Unready(ctx); err != nil {
			return err
		}
		return s.statusOfPods(ctx, api, v)
	}()
	if err != nil {
		v.API.Error = diag.From(err)
	}
}

func (s *session) statusOfPods(ctx context.Context, api *kube.Cluster, v *StatusView) (err error) {
	if v.pods, err = api.StaticPods(ctx); err != nil {
		return err
	}
	looked, err := api.Looked(ctx, addon.Services())
	for _, o := range looked {
		v.AddOns = append(v.AddOns, AddOnView{o, kubeadm.Tag(o.Image)})
	}
	return err
}

func (s *session) statusOfEtcd(ctx context.Context) (*EtcdView, *diag.Error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	c, err := s.fleet.etcd(ctx)
	if err != nil {
		return nil, diag.From(err)
	}
	defer c.Close()
	members, err := c.Members(ctx)
	if err != nil {
		return nil, diag.From(err)
	}
	return viewOf(s.cluster, members), nil
}

// components holds the control planes' manifests, and the nodes' load balancers,
// against the pods that the API knows.
func (s *session) components(pods []live.StaticPod, answers bool) []ComponentView {
	out := []ComponentView{}
	seen := map[live.StaticPod]bool{}
	add := func(name, node, version string) {
		c := ComponentView{Name: name, Node: node, Version: version, State: "not known"}
		if answers {
			c.State = "its pod is not there"
		}
		for _, p := range pods {
			if p.Name == name && p.Node == node {
				seen[p], c.Ready, c.State = true, p.Ready, p.State
				if p.Image != "" { // what runs, not what the file says
					c.Version = kubeadm.Tag(p.Image)
				}
			}
		}
		out = append(out, c)
	}
	for _, h := range s.cluster.ControlPlanes() {
		f := s.fleet.facts[h.Name]
		if f == nil || !f.Kubernetes.AdminConf || kubeadm.HalfDone(f) {
			continue
		}
		for _, name := range slices.Backward(kubeadm.StaticPods) {
			name = strings.TrimSuffix(name, ".yaml")
			add(name, h.Name, kubeadm.Tag(f.Kubernetes.Components[name]))
		}
	}
	for _, p := range pods { // of hosts that were not reached, and what is not kubeadm's
		if !seen[p] {
			out = append(out, ComponentView{Name: p.Name, Node: p.Node, Version: kubeadm.Tag(p.Image), Ready: p.Ready, State: p.State})
		}
	}
	return out
}

// expiries reads when those of all hosts that were reached end.
func (s *session) expiries(ctx context.Context) []CertificateView {
	byHost := make([][]CertificateView, len(s.cluster.Hosts))
	s.eachNode(ctx, func(ctx context.Context, i int, h inventory.ResolvedHost, f *facts.Host) {
		for _, file := range certs.Of(f.Kubernetes.AdminConf) {
			held := s.held(ctx, h.Name, file)
			v := CertificateView{Host: h.Name, Name: file.Name, Path: file.Path, CA: file.CA}
			if held.Err != nil {
				v.Error = diag.From(held.Err)
			} else {
				v.End = held.Certificate.NotAfter.UTC()
			}
			byHost[i] = append(byHost[i], v)
		}
	})
	return slices.Concat(byHost...)
}

// eachNode looks at the hosts that were reached and have joined, side by side; i
// is a host's place in the inventory.
func (s *session) eachNode(ctx context.Context, look func(ctx context.Context, i int, h inventory.ResolvedHost, f *facts.Host)) {
	var g errgroup.Group
	g.SetLimit(s.fleet.dials)
	for i, h := range s.cluster.Hosts {
		f := s.fleet.facts[h.Name]
		if f == nil || !f.Kubernetes.KubeletConf {
			continue
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, scaled(statusPatience, h))
			defer cancel()
			look(ctx, i, h, f)
			return nil
		})
	}
	g.Wait() // its functions give no error
}

// drift plans as apply would, without its preflight, and counts.
func (s *session) drift(ctx context.Context) *DriftView {
	d := &DriftView{Hosts: map[string]int{}}
	err := func() (err error) {
		for name, why := range s.fleet.unreachable {
			s.left[name] = why
		}
		quiet := *s // what a plan warns of is the plan's to tell
		quiet.sink = func(event.Event) {}
		quiet.build = func(_ context.Context, in plan.Input) (*plan.Plan, error) { return plan.Build(in) }
		if quiet.store, err = openStore(s.env, s.options, s.cluster); err != nil {
			return err
		}
		defer quiet.store.Close()
		art, err := gather(ctx, quiet.store, s.cluster, s.fleet.facts, quiet.sink)
		if err != nil {
			return err
		}
		quiet.executor = &executor{fleet: s.fleet, store: quiet.store, version: s.env.Version, values: map[string]string{}, uploads: newSlots(0)}
		defer quiet.executor.close()
		if err := quiet.plan(ctx, art, ownResolvers()); err != nil {
			return err
		}
		for _, item := range quiet.view.Items {
			d.Changes++
			d.Hosts[item.Host]++
		}
		return nil
	}()
	if err != nil {
		d.Error = diag.From(err)
	}
	return d
}

// newestChange gives the newest run on a cluster that was recorded on this machine and
// could change something; nil when there is none.
func newestChange(dir, cluster string) (*Record, error) {
	if dir == "" {
		var err error
		if dir, err = journal.DefaultDir(); err != nil {
			return nil, err
		}
	}
	names, err := recorded(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		r, err := record(dir, name)
		if diag.KindOf(err) == diag.NotFound {
			continue // another run has just tidied up
		}
		if err != nil {
			return nil, fmt.Errorf("read the record of run %s: %w", name, err)
		}
		if r.Cluster == cluster && !slices.Contains(lookers, r.Command) {
			return &r, nil
		}
	}
	return nil, nil
}

// lookers are commands that are recorded and change no cluster.
var lookers = []string{"plan", "etcd snapshot"}

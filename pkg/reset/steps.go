package reset

import (
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// Phases of steps, for the summary of time.
const (
	PhaseLeave = "leave"
	PhaseClean = "clean"
)

// Input is everything that the steps follow from.
type Input struct {
	Cluster *inventory.Cluster
	Leaving []Host // in the inventory's order
	// Whole: all hosts leave, and there is no cluster that somebody has to be
	// taken out of.
	Whole bool
	// Live is the cluster as its API tells; nil when there is none, and then
	// hosts are only cleaned.
	Live *plan.Live
	// Undrained are hosts whose pods cannot be waited for: nobody there would end
	// them.
	Undrained map[string]bool
	// Forced are hosts whose pods that nobody brings back are deleted too.
	Forced       map[string]bool
	DrainSeconds int
	// Staying are facts of hosts that stay and can be reached, by name. Their load
	// balancers forget control planes that left.
	Staying map[string]*facts.Host
	// BalancerImage gives the load balancer's image for an architecture.
	BalancerImage func(arch string) (string, error)
}

// Steps gives the steps by which hosts leave: drain, etcd member out, clean, Node
// deleted. Hosts leave side by side; control planes one after the other, since
// each takes a vote with it. The Node goes last, so that its name tells until the
// end that somebody is on its way out.
func Steps(in Input) ([]graph.Step, error) {
	b := &builder{in: in}
	if err := b.allowed(); err != nil {
		return nil, err
	}
	for _, h := range in.Leaving {
		b.leave(h)
	}
	if err := b.balancers(); err != nil {
		return nil, err
	}
	return b.steps, nil
}

type builder struct {
	in    Input
	steps []graph.Step
	plane string   // last step of the last control plane
	left  []string // control planes that leave before
}

// allowed refuses what would leave a cluster without a control plane.
func (b *builder) allowed() error {
	if b.in.Whole || b.in.Live == nil {
		return nil
	}
	var names []string
	for _, h := range b.in.Leaving {
		names = append(names, h.Name)
	}
	return MayLeave(b.in.Cluster, names)
}

// MayLeave says why these hosts cannot leave and the others go on as a cluster,
// or nil.
func MayLeave(c *inventory.Cluster, names []string) error {
	for _, h := range c.ControlPlanes() {
		if !slices.Contains(names, h.Name) {
			return nil
		}
	}
	return diag.New(diag.Preflight, "take out control planes", "no control plane would be left, and the cluster would be lost").
		WithHint("add another control plane first, or take the whole cluster down: kforge reset")
}

func (b *builder) leave(h Host) {
	last := ""
	add := func(name, phase, class, title string, work any, needs ...string) {
		if last != "" {
			needs = append(needs, last)
		}
		last = h.Name + "/" + name
		b.steps = append(b.steps, graph.Step{ID: last, Host: h.Name, Phase: phase, Class: class, Title: title, Needs: needs, Work: work})
	}
	inCluster := !b.in.Whole && b.in.Live != nil
	if inCluster && b.node(h.Name) && !b.in.Undrained[h.Name] {
		add("drain", PhaseLeave, plan.ClassWait, "drain node", &spec.KubeWork{Drain: []spec.Drain{{
			Node: h.Name, TimeoutSeconds: node.Scale(b.in.DrainSeconds, h.TimeoutScale), Force: b.in.Forced[h.Name],
		}}})
	}
	if inCluster && h.ControlPlane() {
		var needs []string
		if b.plane != "" {
			needs = []string{b.plane}
		}
		add("etcd", PhaseLeave, plan.ClassKube, "etcd member out", &spec.EtcdWork{Remove: []string{h.Name}, After: slices.Clone(b.left)}, needs...)
		b.left = append(b.left, h.Name)
	}
	if h.Facts != nil {
		add("clean", PhaseClean, plan.ClassHost, "clean host", &spec.HostWork{Resources: Clean(h, b.in.Cluster)})
	}
	if inCluster {
		add("node", PhaseLeave, plan.ClassKube, "delete node", &spec.KubeWork{DeleteNodes: []string{h.Name}})
		if h.ControlPlane() {
			b.plane = last
		}
	}
}

func (b *builder) node(name string) bool {
	return slices.ContainsFunc(b.in.Live.Nodes, func(n plan.LiveNode) bool { return n.Name == name })
}

// balancers has the load balancers of the hosts that stay forget the control
// planes that left. Until then they find out by themselves that those are not
// ready.
func (b *builder) balancers() error {
	if b.plane == "" || b.in.Cluster.EndpointMode != inventory.EndpointLocal {
		return nil
	}
	leaves := func(name string) bool {
		return slices.ContainsFunc(b.in.Leaving, func(l Host) bool { return l.Name == name })
	}
	var servers []node.Balanced
	for _, h := range b.in.Cluster.ControlPlanes() {
		if leaves(h.Name) {
			continue
		}
		servers = append(servers, node.Behind(h, b.in.Staying[h.Name], kubeadm.APIPort))
	}
	for _, h := range b.in.Cluster.Hosts {
		f := b.in.Staying[h.Name]
		if f == nil || leaves(h.Name) || !f.Kubernetes.KubeletConf {
			continue
		}
		image, err := b.in.BalancerImage(f.Kernel.Arch)
		if err != nil {
			return err
		}
		resources, err := node.LoadBalancer(h.Name, image, servers)
		if err != nil {
			return err
		}
		b.steps = append(b.steps, graph.Step{
			ID: h.Name + "/load-balancer", Host: h.Name, Phase: PhaseLeave, Class: plan.ClassHost,
			Title: "load balancer before the control planes that stay", Needs: []string{b.plane}, Work: &spec.HostWork{Resources: resources},
		})
	}
	return nil
}

package plan

import (
	"fmt"
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// Build gives the steps that bring the hosts and the cluster to what the
// inventory asks for.
//
// Each host has a chain of its own, and only true edges cross over: a worker
// joins when the API answers, not when all hosts are prepared; a node is ready
// when the pod network is there. Steps of hosts are always part of the plan,
// since the executor observes and finds nothing to do; only joining, which
// needs a token, is there when somebody has to join.
func Build(in Input) (*Plan, error) {
	if err := sameVersion(in); err != nil {
		return nil, err
	}
	if err := sameNetworks(in); err != nil {
		return nil, err
	}
	b, err := newBuilder(in)
	if err != nil {
		return nil, err
	}
	if err := b.tellAdopted(); err != nil {
		return nil, err
	}
	for _, h := range b.hosts {
		if err := b.prepare(h); err != nil {
			return nil, err
		}
	}
	if b.control == nil {
		b.withoutControlPlane()
		return &Plan{Steps: b.steps, Notes: b.notes}, nil
	}
	if b.onlyOthers() {
		b.addAPI()
	} else if err := b.initialize(b.control); err != nil {
		return nil, err
	}
	b.endpoint()
	if err := b.network(); err != nil {
		return nil, err
	}
	if err := b.join(); err != nil {
		return nil, err
	}
	if err := b.settle(); err != nil {
		return nil, err
	}
	for _, h := range b.hosts {
		if !h.ControlPlane() || h.workerStill() {
			continue
		}
		if err := b.snapshots(h); err != nil {
			return nil, err
		}
		if err := b.certificates(h); err != nil {
			return nil, err
		}
	}
	return &Plan{Steps: b.steps, Notes: b.notes}, nil
}

// loadBalancer is the role of what nodes with a load balancer need besides.
const loadBalancer = "load-balancer"

// virtualIP is the role of what control planes with a virtual address need besides.
const virtualIP = "virtual-ip"

// host is a reachable host with everything that its steps are made from.
type host struct {
	inventory.ResolvedHost
	facts  *facts.Host
	node   node.Input
	images []spec.Image
	ip     string
	last   string // id of the last step of its chain
	beside string // id of a step beside the chain that its next step needs too
	adopt  bool   // a node that somebody else made: what is there is taken over
}

// joined tells whether the host is a node in its role and was not left half-way.
func (h *host) joined() bool {
	if kubeadm.HalfDone(h.facts) {
		return false
	}
	if h.ControlPlane() {
		return h.facts.Kubernetes.AdminConf
	}
	return h.facts.Kubernetes.KubeletConf
}

// workerStill tells whether the inventory makes a control plane of a worker.
func (h *host) workerStill() bool {
	k := h.facts.Kubernetes
	return h.ControlPlane() && k.KubeletConf && !k.AdminConf && !kubeadm.HalfDone(h.facts)
}

type builder struct {
	in      Input
	hosts   []*host         // reachable, in the inventory's order
	control *host           // whose API the run goes by; nil when there is none
	planes  []*host         // control planes that can be looked at, skipped ones too
	missing []string        // cannot be reached
	skipped int             // not asked for
	balance []node.Balanced // control planes behind each node's load balancer; nil for none
	steps   []graph.Step
	notes   []Note
}

func newBuilder(in Input) (*builder, error) {
	const op = "plan"
	b := &builder{in: in}
	if len(in.Cluster.ControlPlanes()) == 0 {
		return nil, diag.New(diag.Invalid, op, "the inventory has no control plane").
			WithHint("give one host the role control-plane")
	}
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if in.Skipped[h.Name] {
			b.skipped++
			if err := b.skip(h, f); err != nil {
				return nil, err
			}
			continue
		}
		if f == nil {
			if in.Unreachable[h.Name] == nil {
				return nil, diag.New(diag.Internal, op, "neither facts nor an error of the host").On(h.Name)
			}
			b.missing = append(b.missing, h.Name)
			b.notes = append(b.notes, Note{
				Host: h.Name, Message: "left as it is: it cannot be reached", Err: in.Unreachable[h.Name],
			})
			continue
		}
		one, err := b.newHost(h, f)
		if err != nil {
			return nil, err
		}
		b.hosts = append(b.hosts, one)
		if h.ControlPlane() {
			b.planes = append(b.planes, one)
		}
	}
	b.chooseControl()
	b.balanced()
	return b, nil
}

// chooseControl finds the control plane whose API the run goes by: one that has
// a cluster, rather one that was asked for. Only when all of them can be looked
// at and none has a cluster, the first is to make one: what cannot be reached may
// well hold the cluster.
func (b *builder) chooseControl() {
	asked := func(h *host) bool { return !b.in.Skipped[h.Name] }
	for _, fits := range []func(*host) bool{
		func(h *host) bool { return h.joined() && asked(h) },
		(*host).joined,
		func(h *host) bool { return asked(h) && len(b.planes) == len(b.in.Cluster.ControlPlanes()) },
	} {
		if i := slices.IndexFunc(b.planes, fits); i >= 0 {
			b.control = b.planes[i]
			return
		}
	}
}

// balanced lists the control planes for the load balancers of nodes. One that
// cannot be reached stays in the list: it may be back any moment.
func (b *builder) balanced() {
	if b.in.Cluster.EndpointMode != inventory.EndpointLocal {
		return
	}
	for _, h := range b.in.Cluster.ControlPlanes() {
		b.balance = append(b.balance, node.Behind(h, b.in.Facts[h.Name], kubeadm.APIPort))
	}
}

// skip takes note of a control plane that was not asked for: what the others
// need to know of it.
func (b *builder) skip(h inventory.ResolvedHost, f *facts.Host) error {
	if !h.ControlPlane() || f == nil {
		return nil
	}
	one, err := b.newHost(h, f)
	if err == nil {
		b.planes = append(b.planes, one)
	}
	return err
}

// onlyOthers tells whether the control plane itself was not asked for.
func (b *builder) onlyOthers() bool { return b.in.Skipped[b.control.Name] }

func (b *builder) newHost(h inventory.ResolvedHost, f *facts.Host) (*host, error) {
	on := func(err error) error {
		return diag.Wrap(diag.KindOf(err), "plan", err).On(h.Name)
	}
	address := node.FindAddress(h, f)
	if address.IP == "" {
		return nil, diag.New(diag.Unsupported, "plan", "no address for the node: no interface has %s, and none has a default route", h.Address).
			On(h.Name).WithHint("write nodeIP for the host into the inventory")
	}
	role := inventory.RoleWorker
	if h.ControlPlane() {
		role = inventory.RoleControlPlane
	}
	images, err := b.in.Artifacts.Images(role, f.Kernel.Arch)
	if err != nil {
		return nil, on(err)
	}
	var more string
	switch mode := b.in.Cluster.EndpointMode; {
	case mode == inventory.EndpointLocal:
		more = loadBalancer
	case mode == inventory.EndpointKubeVIP && h.ControlPlane():
		more = virtualIP
	}
	if more != "" {
		also, err := b.in.Artifacts.Images(more, f.Kernel.Arch)
		if err != nil {
			return nil, on(err)
		}
		images = slices.Concat(images, also)
	}
	pause, ok := kubeadm.Image(images, "pause")
	if !ok {
		return nil, on(diag.New(diag.NotFound, "find images", "no pause image for %s", f.Kernel.Arch))
	}
	n := node.Input{
		Host: h, Facts: f, Cluster: b.in.Cluster, PauseImage: pause, FallbackDNS: b.in.FallbackDNS,
	}
	for _, want := range []struct {
		name string
		into *node.Artifact
	}{
		{"containerd", &n.Containerd},
		{"runc", &n.Runc},
		{"cni-plugins", &n.CNIPlugins},
		{"kubelet", &n.Kubelet},
		{"kubeadm", &n.Kubeadm},
		{"kubectl", &n.Kubectl},
	} {
		want.into.Blob, want.into.Version, err = b.in.Artifacts.File(want.name, f.Kernel.Arch)
		if err != nil {
			return nil, on(err)
		}
	}
	return &host{ResolvedHost: h, facts: f, node: n, images: images, ip: address.IP, adopt: kubeadm.MadeByOthers(f)}, nil
}

func (b *builder) note(host, hint, format string, args ...any) {
	b.notes = append(b.notes, Note{Host: host, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// add puts a step of a host behind the last one of its chain.
func (b *builder) add(h *host, name, phase, class, title string, work any, needs ...string) {
	needs = append(h.prepared(), needs...)
	h.last, h.beside = h.Name+"/"+name, ""
	if w, ok := work.(*spec.HostWork); ok && h.adopt {
		takeOver(w.Resources)
	}
	b.steps = append(b.steps, graph.Step{
		ID: h.last, Host: h.Name, Phase: phase, Class: class, Title: title, Needs: needs, Work: work,
	})
}

// prepared are the steps of the host that its next one needs.
func (h *host) prepared() (ids []string) {
	for _, id := range []string{h.last, h.beside} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// addCluster puts a step of the cluster and gives its id.
func (b *builder) addCluster(name, phase, title string, work *spec.KubeWork, needs ...string) string {
	id := "cluster/" + name
	b.steps = append(b.steps, graph.Step{
		ID: id, Phase: phase, Class: ClassKube, Title: title, Needs: needs, Work: work,
	})
	return id
}

package plan

import (
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// afterInit are images that the control plane needs only once it runs: they
// are imported while kubeadm init waits for it, in this order. kube-proxy's pod
// comes first, at the end of the init.
var afterInit = []string{"kube-proxy", "flannel-cni-plugin", "flannel", "coredns"}

// prepare adds the steps that no other host waits for.
func (b *builder) prepare(h *host) error {
	services, err := node.Services(h.node)
	if err != nil { // a finding, and here only where it was waived
		b.note(h.Name, diag.Hint(err), "left as it is: %v", err)
	}
	b.add(h, "prepare", PhasePrepare, ClassHost, "kernel modules and settings",
		&spec.HostWork{Resources: append(node.Prepare(h.node), services...)})

	runtime, err := node.Containerd(h.node)
	if err != nil {
		return err
	}
	b.add(h, "containerd", PhasePrepare, ClassHost, "containerd "+h.node.Containerd.Version,
		&spec.HostWork{Resources: runtime})

	resolver, err := node.ChooseResolver(b.in.Cluster.DNSServers, h.facts.Resolver, b.in.FallbackDNS)
	if err != nil {
		return err
	}
	if resolver.Guessed {
		b.note(h.Name, "name your own DNS servers in the inventory: spec.dns.servers",
			"pods' outside names are asked of %v: the host's resolver is a loopback stub that does not tell its servers",
			b.in.FallbackDNS)
	}
	kubelet, err := node.Kubelet(h.node)
	if err != nil {
		return err
	}
	b.add(h, "kubelet", PhasePrepare, ClassHost, "kubelet, kubeadm and kubectl "+h.node.Kubelet.Version,
		&spec.HostWork{Resources: kubelet})

	first, _ := h.splitImages()
	b.add(h, "images", PhaseImages, ClassImage, "container images",
		&spec.HostWork{Resources: node.Images(first)})
	return nil
}

// splitImages gives what the host needs before it becomes a node, and what it
// needs after. A worker's pods start the moment it has joined, so it needs all.
func (h *host) splitImages() (before, after []spec.Image) {
	for _, image := range h.images {
		later := h.ControlPlane() && turn(image) >= 0
		if later {
			after = append(after, image)
		} else {
			before = append(before, image)
		}
	}
	slices.SortStableFunc(after, func(a, b spec.Image) int { return turn(a) - turn(b) })
	return before, after
}

// turn is the place of an image in afterInit.
func turn(image spec.Image) int {
	return slices.IndexFunc(afterInit, func(name string) bool {
		_, ok := kubeadm.Image([]spec.Image{image}, name)
		return ok
	})
}

// initialize adds the control plane's own steps.
func (b *builder) initialize(h *host) error {
	command, err := kubeadm.Init(b.kubeadm(h))
	if err != nil {
		return err
	}
	prepared := h.last
	b.add(h, "init", PhaseControlPlane, ClassInit, "control plane "+b.in.Cluster.Version,
		&spec.HostWork{Resources: []spec.Resource{command}})
	b.addAPI(h.last)

	_, after := h.splitImages()
	b.steps = append(b.steps, graph.Step{
		ID: h.Name + "/images-addons", Host: h.Name, Phase: PhaseImages, Class: ClassImage, Title: "container images of add-ons",
		Needs: []string{prepared}, Beside: true, Work: &spec.HostWork{Resources: node.Images(after)},
	})
	b.running(h)
	return nil
}

func (b *builder) addAPI(needs ...string) {
	b.addCluster("api", PhaseControlPlane, "API answers",
		&spec.KubeWork{WaitAPI: true, WaitAPISeconds: node.Scale(apiSeconds, b.control.TimeoutScale)}, needs...)
}

func (b *builder) running(h *host) {
	b.add(h, "kubelet-running", PhaseJoin, ClassHost, "kubelet runs with its settings",
		&spec.HostWork{Resources: node.KubeletRunning(h.node)})
}

func (b *builder) kubeadm(h *host) kubeadm.Input {
	return kubeadm.Input{
		Cluster: b.in.Cluster, Host: h.ResolvedHost, Facts: h.facts, NodeIP: h.ip,
		Fleet: b.in.Facts, Images: b.control.images,
		APIServer: kubeadm.APIServer(b.in.Cluster, b.control.ip),
	}
}

// withoutControlPlane says why nobody joins, and keeps the kubelets of hosts
// that have joined before as they should be.
func (b *builder) withoutControlPlane() {
	name := b.in.Cluster.ControlPlanes()[0].Name
	why, hint := "cannot be reached", "make "+name+" reachable and run the same again"
	if b.in.Skipped[name] && b.in.Unreachable[name] == nil {
		why, hint = "has no cluster yet and was not asked for", "run the same for "+name+" too"
	}
	for _, h := range b.hosts {
		if h.joined() {
			b.running(h)
			continue
		}
		b.notes = append(b.notes, Note{
			Host: h.Name, Message: "prepared, but does not join: the control plane " + name + " " + why,
			Hint: hint, Err: b.in.Unreachable[name],
		})
	}
}

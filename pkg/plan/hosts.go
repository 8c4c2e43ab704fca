package plan

import (
	"cmp"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
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
	first := h.images
	if h == b.control {
		first, _ = h.splitImages()
	}
	// containerd is all that images need: they come in while the rest is sent.
	images := graph.Step{
		ID: h.Name + "/images", Host: h.Name, Phase: PhaseImages, Class: ClassImage, Title: "container images",
		Needs: []string{h.last}, Beside: true, Work: &spec.HostWork{Resources: node.Images(first)},
	}

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
	title := "kubelet, kubeadm and kubectl " + h.node.Kubelet.Version
	if h.keepsVersion(b.in.Cluster.Version) {
		kubelet, title = without(kubelet, binaries...), "kubelet's settings"
		b.note(h.Name, "kforge upgrade goes on where it ended",
			"its kubelet is %s and stays so: versions change by kforge upgrade alone", h.facts.Kubernetes.KubeletVersion)
	}
	b.add(h, "kubelet", PhasePrepare, ClassHost, title, &spec.HostWork{Resources: kubelet})

	b.steps = append(b.steps, images)
	h.beside = images.ID
	if err := b.loadBalancer(h); err != nil {
		return err
	}
	// The first kubeadm init asks for the API at the address before the
	// administrators that it makes may do anything.
	return b.virtualIP(h, "virtual-ip", PhasePrepare, h == b.control && !h.joined())
}

// virtualIP has a control plane take its turn at the API's address. It is there
// before the host joins, like a load balancer.
func (b *builder) virtualIP(h *host, step, phase string, first bool) error {
	if b.in.Cluster.EndpointMode != inventory.EndpointKubeVIP || !h.ControlPlane() || h.workerStill() {
		return nil
	}
	image, ok := kubeadm.Image(h.images, "kube-vip")
	if !ok {
		return diag.New(diag.NotFound, "plan the virtual address", "no kube-vip image for %s", h.facts.Kernel.Arch).On(h.Name)
	}
	resources, err := node.VirtualIP(h.node, image, first)
	if err != nil {
		return err
	}
	b.add(h, step, phase, ClassHost, "virtual address of the API", &spec.HostWork{Resources: resources})
	return nil
}

// loadBalancer adds the node's own way to the control planes. It is there before
// the host joins: a control plane needs it in the middle of its join.
func (b *builder) loadBalancer(h *host) error {
	if b.balance == nil {
		return nil
	}
	image, ok := kubeadm.Image(h.images, "haproxy")
	if !ok {
		return diag.New(diag.NotFound, "plan load balancer", "no haproxy image for %s", h.facts.Kernel.Arch).On(h.Name)
	}
	resources, err := node.LoadBalancer(h.Name, image, b.balance)
	if err != nil {
		return err
	}
	b.add(h, balancerStep, PhasePrepare, ClassHost, "load balancer before the control planes", &spec.HostWork{Resources: resources})
	return nil
}

const balancerStep = "load-balancer"

// splitImages gives what the first control plane needs before it becomes a node,
// and what it needs after. The pods of others start the moment they have joined,
// so those need all.
func (h *host) splitImages() (before, after []spec.Image) {
	for _, image := range h.images {
		if turn(image) >= 0 {
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

// initialize adds the own steps of the control plane that the run goes by: it
// begins the cluster, unless it has one.
func (b *builder) initialize(h *host) error {
	prepared := h.prepared()
	if !h.joined() {
		if b.in.Restore != nil {
			if err := b.restore(h); err != nil {
				return err
			}
		} else if kubeadm.RestoreBroke(h.facts) {
			return diag.New(diag.Unsupported, "plan", "a restore of the cluster broke off here, and its data may be whole").On(h.Name).
				WithHint("run the same `kforge etcd restore` again")
		}
		command, err := kubeadm.Init(b.kubeadm(h))
		if err != nil {
			return err
		}
		b.add(h, "init", PhaseControlPlane, ClassInit, "control plane "+b.in.Cluster.Version,
			&spec.HostWork{Resources: []spec.Resource{command}})
		if err := b.virtualIP(h, "virtual-ip-handed-over", PhaseControlPlane, false); err != nil {
			return err
		}
	}
	b.addAPI(h.last)

	_, after := h.splitImages()
	b.steps = append(b.steps, graph.Step{
		ID: h.Name + "/images-addons", Host: h.Name, Phase: PhaseImages, Class: ClassImage, Title: "container images of add-ons",
		Needs: prepared, Beside: true, Work: &spec.HostWork{Resources: node.Images(after)},
	})
	b.running(h)
	return nil
}

func (b *builder) addAPI(needs ...string) {
	b.addCluster("api", PhaseControlPlane, "API answers",
		&spec.KubeWork{WaitAPI: true, WaitAPISeconds: node.Scale(apiSeconds, b.control.TimeoutScale)}, needs...)
}

func (b *builder) running(h *host) {
	resources := node.KubeletRunning(h.node)
	if h.joined() && b.balance == nil {
		resources = append(resources, node.NoLoadBalancer()...)
	}
	if h.joined() && h.ControlPlane() && b.in.Cluster.EndpointMode != inventory.EndpointKubeVIP {
		resources = append(resources, node.NoVirtualIP()...)
	}
	b.add(h, "kubelet-running", PhaseJoin, ClassHost, "kubelet runs with its settings", &spec.HostWork{Resources: resources})
}

// snapshots adds what a control plane does for the cluster's data on its own.
func (b *builder) snapshots(h *host) error {
	image, ok := kubeadm.Image(h.images, "etcd")
	if !ok {
		return diag.New(diag.NotFound, "plan etcd's snapshots", "no etcd image for %s", h.facts.Kernel.Arch).On(h.Name)
	}
	resources, err := node.EtcdSnapshots(b.in.Cluster.Snapshots, image)
	if err != nil {
		return err
	}
	b.add(h, "etcd-snapshots", PhaseEtcd, ClassHost, "snapshots of etcd by a timer", &spec.HostWork{Resources: resources})
	return nil
}

// certificates adds what a control plane needs to renew its certificates on its own.
func (b *builder) certificates(h *host) error {
	program, _, err := b.in.Artifacts.File(CertsProgram, h.facts.Kernel.Arch)
	if err != nil {
		return err
	}
	in := b.kubeadm(h)
	config, err := kubeadm.RenewConfig(in)
	if err != nil {
		return err
	}
	renewal := b.in.Cluster.Certificates.Renewal
	tools, err := node.CertTools(node.CertRenewal{
		Node: h.Name, Program: node.Artifact{Blob: program}, Config: config, SANs: in.CertSANs(), Renewal: renewal,
	})
	if err != nil {
		return err
	}
	timer, err := node.CertTimer(renewal)
	if err != nil {
		return err
	}
	b.add(h, "certificates", PhaseControlPlane, ClassHost, "certificates are renewed by a timer", &spec.HostWork{Resources: append(tools, timer...)})
	return nil
}

func (b *builder) kubeadm(h *host) kubeadm.Input {
	return kubeadm.Input{
		Cluster: b.in.Cluster, Host: h.ResolvedHost, Facts: h.facts, NodeIP: h.ip,
		Restored: b.in.Restore != nil && h == b.control,
		Fleet:    b.in.Facts, Images: b.control.images,
		APIServer: kubeadm.APIServer(b.in.Cluster, b.control.ip),
	}
}

// withoutControlPlane says why nobody joins, and keeps the kubelets of hosts
// that have joined before as they should be.
func (b *builder) withoutControlPlane() {
	var lost, idle []string
	var cause error
	for _, h := range b.in.Cluster.ControlPlanes() {
		if err := b.in.Unreachable[h.Name]; err != nil {
			lost, cause = append(lost, h.Name), cmp.Or(cause, err)
		} else if b.in.Skipped[h.Name] {
			idle = append(idle, h.Name)
		}
	}
	name := strings.Join(lost, ", ")
	why, hint := "cannot be reached", "make "+name+" reachable and run the same again"
	if len(lost) == 0 {
		name = strings.Join(idle, ", ")
		why, hint = "has no cluster yet and was not asked for", "run the same for "+name+" too"
	}
	for _, h := range b.hosts {
		if h.joined() {
			b.running(h)
			continue
		}
		b.notes = append(b.notes, Note{
			Host: h.Name, Message: "prepared, but does not join: the control plane " + name + " " + why,
			Hint: hint, Err: cause,
		})
	}
}

package plan

import (
	"math"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/addon"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/spec"
)

// Ids of the cluster's steps that others need.
const (
	apiStep     = "cluster/api"
	networkStep = "cluster/flannel"
)

// apiSeconds until a control plane's API has to answer, before scaling.
const apiSeconds = 300

// tokenSeconds is how long a join token lives: a slow fleet joins within it.
const tokenSeconds = 3600

// network adds the pod network. It waits for the control plane's images, not
// for any worker.
func (b *builder) network() error {
	if b.keepNetwork() {
		if len(b.missing) == 0 {
			return nil // told by who asked for a part of the hosts
		}
		b.note("", "run the same again when they answer",
			"the pod network is left as it is: its settings follow from all hosts, and %s cannot be reached",
			strings.Join(b.missing, ", "))
		return nil
	}
	objects, err := b.flannel()
	if err != nil {
		return err
	}
	b.addCluster("flannel", PhaseAddons, "pod network: flannel", &spec.KubeWork{Objects: objects},
		apiStep, b.control.Name+"/images-addons")
	return nil
}

// flannel gives the objects of the pod network as they follow from all hosts.
func (b *builder) flannel() ([]spec.Object, error) {
	image, ok := kubeadm.Image(b.control.images, "flannel")
	plugin, ok2 := kubeadm.Image(b.control.images, "flannel-cni-plugin")
	if !ok || !ok2 {
		return nil, diag.New(diag.NotFound, "plan pod network", "no flannel images among the artifacts")
	}
	return addon.Flannel(addon.FlannelInput{
		PodCIDR: b.in.Cluster.PodCIDR, Backend: b.in.Cluster.CNI.Backend,
		MTU:      addon.PodMTU(b.in.Cluster, b.in.Facts),
		NFTables: kubeadm.ProxyMode(b.in.Facts) == "nftables",
		Image:    image, CNIPluginImage: plugin,
	})
}

// keepNetwork tells whether the pod network runs already and must not be
// judged by a part of the hosts. A Ready node shows that it runs. Without the
// control plane's steps there is nobody to bring its images.
func (b *builder) keepNetwork() bool {
	if b.onlyOthers() {
		return true
	}
	return len(b.missing)+b.skipped > 0 && b.in.Live != nil &&
		slices.ContainsFunc(b.in.Live.Nodes, func(n LiveNode) bool { return n.Ready })
}

func (b *builder) live(name string) bool {
	if b.in.Restore != nil {
		return slices.Contains(b.in.Restore.Nodes, name)
	}
	return b.in.Live != nil && slices.ContainsFunc(b.in.Live.Nodes, func(n LiveNode) bool { return n.Name == name })
}

// settle adds the end: each node ready and labelled on its own account, then
// the cluster's own services.
func (b *builder) settle() error {
	needs := []string{apiStep}
	if !b.keepNetwork() {
		needs = append(needs, networkStep)
	}
	var ready []string
	slowest := 1.0
	for _, h := range b.hosts {
		slowest = math.Max(slowest, h.TimeoutScale)
		b.add(h, readyStep, PhaseJoin, ClassWait, "node is ready", &spec.KubeWork{Ready: []spec.Ready{{
			Kind: "Node", Name: h.Name, TimeoutSeconds: b.readySeconds(h.TimeoutScale),
		}}}, needs...)
		ready = append(ready, h.last)
		if h.workerStill() { // its role in the cluster is not that of the inventory
			continue
		}
		labels, err := addon.Labels(h.ResolvedHost)
		if err != nil {
			return err
		}
		b.add(h, "labels", PhaseJoin, ClassKube, "node's labels and taints", &spec.KubeWork{Objects: []spec.Object{labels}})
	}
	if b.onlyOthers() { // the cluster's services may well wait for hosts that were left out
		return nil
	}
	services := []spec.Ready{{
		Kind: "Deployment", Namespace: "kube-system", Name: "coredns", TimeoutSeconds: b.readySeconds(slowest),
	}}
	if b.wholeNetwork() {
		services = append(services, spec.Ready{
			Kind: "DaemonSet", Namespace: addon.FlannelNamespace, Name: addon.FlannelDaemonSet,
			TimeoutSeconds: b.readySeconds(slowest),
		})
	}
	b.steps = append(b.steps, graph.Step{
		ID: "cluster/ready", Phase: PhaseAddons, Class: ClassWait, Title: "cluster's services are ready",
		Needs: needs, NeedsAny: ready, Work: &spec.KubeWork{Ready: services},
	})
	return nil
}

// wholeNetwork tells whether flannel can be ready everywhere: with a node that
// is out of reach or was left out, or of which the inventory knows nothing, it never is.
func (b *builder) wholeNetwork() bool {
	if len(b.missing) > 0 {
		return false
	}
	if b.in.Live == nil {
		return true
	}
	return !slices.ContainsFunc(b.in.Live.Nodes, func(n LiveNode) bool {
		return !n.Ready && !slices.ContainsFunc(b.hosts, func(h *host) bool { return h.Name == n.Name })
	})
}

func (b *builder) readySeconds(scale float64) int {
	seconds := b.in.Cluster.Ready.Seconds() * math.Max(scale, 1)
	return int(math.Ceil(seconds))
}

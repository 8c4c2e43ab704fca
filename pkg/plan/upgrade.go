package plan

import (
	"fmt"
	"math"
	"slices"

	"kforge.dev/kforge/pkg/addon"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// UpgradeOptions say how a cluster goes to the version of its inventory.
type UpgradeOptions struct {
	// Last tells that no further version comes after this one. Workers go there
	// once, at the end, over all the minors: a kubelet may be behind.
	Last bool
	// DrainSeconds until a node's pods have to be gone, before scaling; 0 is the
	// executor's own.
	DrainSeconds int
	// Snapshot is a file for a snapshot of etcd, taken before anything changes; ""
	// takes none.
	Snapshot string
}

// WindowWorkers is the window of workers that are out of service.
const WindowWorkers = "workers"

// slowDrain is after how many seconds a drain holds up the others no more.
const slowDrain = 120

// upgrader builds the steps of an upgrade to one version.
type upgrader struct {
	*builder
	o       UpgradeOptions
	version string
	images  []string // steps that import images, of all hosts
	// planeImages are those of control planes.
	planeImages []string
	letInto     []string // steps that end what an earlier run has begun
}

// Upgrade gives the steps that bring a cluster to the version of in.Cluster, at
// most one minor away. Whatever is there already gets no step, so the same plan
// goes on after an interruption. Images come first, on all hosts: add-ons are
// rolled out everywhere as soon as the last control plane is done. Then the control
// planes go one after the other, each behind the health of the one before, and at
// the end the workers, in a window.
func Upgrade(in Input, o UpgradeOptions) (*Plan, error) {
	b, err := newBuilder(in)
	if err != nil {
		return nil, err
	}
	if b.control == nil || !b.control.joined() {
		return nil, diag.New(diag.Preflight, "plan upgrade", "there is no cluster to upgrade").WithHint("run kforge apply first")
	}
	u := &upgrader{builder: b, o: o, version: in.Cluster.Version}
	u.bringImages()
	u.addAPI()
	for _, h := range u.hosts {
		if h.joined() && !u.behind(h) && in.cordoned(h.Name) {
			u.letIn(h, PhaseWorkers)
			u.letInto = append(u.letInto, h.last)
		}
	}
	gate, err := u.planes()
	if err != nil {
		return nil, err
	}
	gate, err = u.addons(gate)
	if err != nil {
		return nil, err
	}
	for _, h := range u.hosts {
		if o.Last && !h.ControlPlane() && h.joined() && u.behind(h) {
			if err := u.worker(h, gate); err != nil {
				return nil, err
			}
		}
	}
	return &Plan{Steps: b.steps, Notes: b.notes}, nil
}

// bringImages imports what the new version needs, and tells of hosts left alone.
// Control planes take turns: an import keeps a disk busy, and an etcd that waits
// for its disk is of no use. One of three may be slow, two may not.
func (u *upgrader) bringImages() {
	var before []string
	for _, h := range u.hosts {
		if !h.joined() {
			u.note(h.Name, "run kforge apply when the upgrade is done", "is no node yet: left as it is")
			continue
		}
		u.add(h, "images", PhaseImages, ClassImage, "container images of "+u.version, &spec.HostWork{Resources: node.Images(h.images)})
		u.images = append(u.images, h.last)
		if h.ControlPlane() {
			u.steps[len(u.steps)-1].After = before
			before = []string{h.last}
			u.planeImages = append(u.planeImages, h.last)
		}
	}
}

// behind tells whether a host's kubelet is older than the version.
func (u *upgrader) behind(h *host) bool {
	runs := h.facts.Kubernetes.KubeletVersion
	return inventory.CompareVersions(runs, u.version) < 0 || slices.Contains(h.facts.Kubernetes.Interrupted, kubeadm.UpgradeID(u.version))
}

// minor tells whether the kubelet goes to another minor: then its pods have to
// leave before, since a kubelet may not take over pods that an older one started.
// Within a minor, and when only containerd is restarted, containers run on.
func (u *upgrader) minor(h *host) bool {
	return inventory.MinorsApart(h.facts.Kubernetes.KubeletVersion, u.version) != 0
}

// planes adds the control planes' upgrades and gives the step that the end of the
// last one is.
func (u *upgrader) planes() (gate string, err error) {
	etcdTag := kubeadm.Tags(u.control.images).Etcd
	gate = apiStep
	var todo []*host
	first := true
	for _, h := range u.builder.planes {
		switch {
		case u.in.Skipped[h.Name]: // it is there, else there would be no plan
			first = false
		case !upgraded(h.facts, u.version, etcdTag):
			todo = append(todo, h)
		default:
			first = false
			if u.behind(h) {
				todo = append(todo, h)
			}
		}
	}
	if len(todo) == 0 {
		return gate, nil
	}
	gate = u.before(gate, etcdTag)
	for i, h := range todo {
		var after []string
		if i == len(todo)-1 {
			after = u.images // its kubeadm rolls out kube-proxy and CoreDNS everywhere
		}
		if gate, err = u.plane(h, first && i == 0, gate, after, etcdTag); err != nil {
			return "", err
		}
	}
	return gate, nil
}

// before adds what comes before the first control plane: etcd is well, a snapshot
// of it, and the tags by which kubeadm chooses what it does not version itself.
func (u *upgrader) before(gate, etcdTag string) string {
	if u.localEtcd() {
		u.steps = append(u.steps, graph.Step{
			ID: "cluster/etcd", Phase: PhaseControlPlane, Class: ClassKube, Title: "etcd is healthy and a snapshot is taken",
			Needs: []string{gate}, After: u.planeImages, Work: &spec.EtcdWork{Healthy: &spec.EtcdHealthy{}, Snapshot: u.o.Snapshot},
		})
		gate = "cluster/etcd"
	} else {
		u.note("", "", "etcd is not kubeadm's: it is neither saved nor upgraded")
	}
	tags := kubeadm.Tags(u.control.images)
	for _, h := range u.builder.planes { // never back to an older etcd
		if runs := kubeadm.Tag(h.facts.Kubernetes.Components["etcd"]); inventory.CompareVersions(runs, etcdTag) > 0 {
			tags.Etcd = ""
		}
	}
	id := u.addCluster("kubeadm-images", PhaseControlPlane, "kubeadm's settings name etcd and CoreDNS of "+u.version,
		&spec.KubeWork{KubeadmImages: &tags}, gate)
	// No API server is made anew while the disk of another one is kept busy.
	u.steps[len(u.steps)-1].After = u.planeImages
	return id
}

func (u *upgrader) localEtcd() bool { return u.control.facts.Kubernetes.Components["etcd"] != "" }

// plane adds the upgrade of one control plane and gives its last step.
func (u *upgrader) plane(h *host, first bool, gate string, after []string, etcdTag string) (string, error) {
	if err := u.kubeadmStep(h, gate); err != nil {
		return "", err
	}
	if !upgraded(h.facts, u.version, etcdTag) {
		command, err := kubeadm.Upgrade(u.kubeadm(h), first)
		if err != nil {
			return "", err
		}
		if u.localEtcd() && len(u.builder.planes) > 1 {
			u.add(h, "etcd-leader", PhaseControlPlane, ClassKube, "another member of etcd leads", &spec.EtcdWork{HandOver: h.Name})
		}
		u.add(h, "upgrade", PhaseControlPlane, ClassInit, "control plane "+u.version, &spec.HostWork{Resources: []spec.Resource{command}})
		u.steps[len(u.steps)-1].After = after
		u.healthy(h, "healthy", false)
	}
	if u.behind(h) {
		if err := u.kubelet(h, "", PhaseControlPlane); err != nil {
			return "", err
		}
		u.healthy(h, "healthy-again", u.minor(h))
	}
	if u.localEtcd() { // the timer runs the tools of etcd's own image
		if err := u.snapshots(h); err != nil {
			return "", err
		}
		if err := u.certificates(h); err != nil { // kubeadm's settings name its version
			return "", err
		}
	}
	return h.last, nil
}

// healthy adds the gate behind which the next control plane waits. A kubelet of
// another minor makes all static pods anew, etcd too, when it has reported
// already: the next control plane would begin with this one's etcd away.
func (u *upgrader) healthy(h *host, name string, renewed bool) {
	const title = "API server and etcd are healthy"
	seconds := u.readySeconds(h.TimeoutScale)
	work := &spec.KubeWork{WaitAPI: true, WaitAPISeconds: node.Scale(apiSeconds, h.TimeoutScale)}
	for _, pod := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if pod != "etcd" || h.facts.Kubernetes.Components["etcd"] != "" {
			r := spec.Ready{Kind: "Pod", Namespace: "kube-system", Name: pod + "-" + h.Name, TimeoutSeconds: seconds}
			if renewed {
				r.RenewedBy = h.Name
			}
			work.Ready = append(work.Ready, r)
		}
	}
	u.add(h, name, PhaseControlPlane, ClassWait, title, work)
	if u.localEtcd() {
		u.add(h, name+"-etcd", PhaseControlPlane, ClassKube, "all members of etcd are healthy", &spec.EtcdWork{
			Healthy: &spec.EtcdHealthy{TimeoutSeconds: seconds},
		})
	}
}

// addons adds the end of the control planes' part: the pod network of this
// kforge, and the gate behind which workers wait.
func (u *upgrader) addons(gate string) (string, error) {
	services := []spec.Ready{{Kind: "Deployment", Namespace: "kube-system", Name: "coredns"}}
	if u.wholeNetwork() && u.skipped == 0 {
		services = append(services, spec.Ready{Kind: "DaemonSet", Namespace: "kube-system", Name: "kube-proxy"})
	}
	if u.o.Last && len(u.missing)+u.skipped == 0 {
		objects, err := u.flannel()
		if err != nil {
			return "", err
		}
		gate = u.addCluster("flannel", PhaseAddons, "pod network: flannel", &spec.KubeWork{Objects: objects}, gate)
		u.steps[len(u.steps)-1].After = u.images
		if u.wholeNetwork() {
			services = append(services, spec.Ready{Kind: "DaemonSet", Namespace: addon.FlannelNamespace, Name: addon.FlannelDaemonSet})
		}
	}
	slowest := 1.0
	for _, h := range u.hosts {
		slowest = math.Max(slowest, h.TimeoutScale)
	}
	for i := range services { // rolled out one node after the other
		services[i].TimeoutSeconds = u.readySeconds(slowest) + 60*len(u.hosts)
	}
	u.steps = append(u.steps, graph.Step{
		ID: "cluster/addons", Phase: PhaseAddons, Class: ClassWait, Title: "add-ons are ready", Needs: []string{gate}, After: u.letInto,
		Work: &spec.KubeWork{Ready: services},
	})
	return "cluster/addons", nil
}

// worker adds the upgrade of one worker.
func (u *upgrader) worker(h *host, gate string) error {
	if err := u.kubeadmStep(h, gate); err != nil {
		return err
	}
	return u.kubelet(h, WindowWorkers, PhaseWorkers)
}

// kubeadmStep puts the version's kubeadm on a host. Nothing runs by it yet.
func (u *upgrader) kubeadmStep(h *host, gate string) error {
	all, err := node.Kubelet(h.node)
	if err != nil {
		return err
	}
	phase := PhaseControlPlane
	if !h.ControlPlane() {
		phase = PhaseWorkers
	}
	u.add(h, "kubeadm", phase, ClassHost, "kubeadm "+u.version, &spec.HostWork{Resources: only(all, node.KubeadmBinary)}, gate)
	return nil
}

// kubelet adds what is done while a host is out of service: its pods leave where
// they have to, then containerd and the kubelet are changed and restarted.
func (u *upgrader) kubelet(h *host, window, phase string) error {
	from := len(u.steps)
	if u.minor(h) {
		u.add(h, "drain", phase, ClassWait, "pods leave the node", &spec.KubeWork{Drain: []spec.Drain{{
			Node: h.Name, TimeoutSeconds: node.Scale(u.o.DrainSeconds, h.TimeoutScale),
		}}})
		u.steps[len(u.steps)-1].SlowAfter = node.Scale(slowDrain, h.TimeoutScale)
	}
	if !h.ControlPlane() {
		command, err := kubeadm.Upgrade(u.kubeadm(h), false)
		if err != nil {
			return err
		}
		u.add(h, "upgrade", phase, ClassHost, "kubelet's settings of "+u.version, &spec.HostWork{Resources: []spec.Resource{command}})
	}
	runtime, err := node.Containerd(h.node)
	if err != nil {
		return err
	}
	u.add(h, "containerd", phase, ClassHost, "containerd "+h.node.Containerd.Version, &spec.HostWork{Resources: runtime})
	all, err := node.Kubelet(h.node)
	if err != nil {
		return err
	}
	u.add(h, "kubelet", phase, ClassHost, "kubelet and kubectl "+u.version,
		&spec.HostWork{Resources: append(without(all, node.KubeadmBinary), node.KubeletRunning(h.node)...)})
	u.letIn(h, phase)
	for i := from; i < len(u.steps); i++ {
		u.steps[i].Window = window
	}
	return nil
}

// letIn adds the end of a host's time out of service. A node that an earlier run
// has drained is let in too; one that somebody else cordoned stays as it is.
func (u *upgrader) letIn(h *host, phase string) {
	u.add(h, "ready", phase, ClassWait, fmt.Sprintf("node is ready with kubelet %s", u.version), &spec.KubeWork{Ready: []spec.Ready{{
		Kind: "Node", Name: h.Name, Kubelet: u.version, TimeoutSeconds: u.readySeconds(h.TimeoutScale),
	}}})
	u.add(h, "uncordon", phase, ClassKube, "pods may come again", &spec.KubeWork{Uncordon: []string{h.Name}})
}

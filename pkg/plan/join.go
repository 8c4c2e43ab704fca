package plan

import (
	"net"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/spec"
)

// endpointStep changes how nodes reach the API.
const endpointStep = "cluster/endpoint"

// endpoint lets a running cluster know how its nodes reach the API: when a
// single control plane becomes several, or the site's load balancer moves. All
// nodes must be able to go the new way before anything in the cluster names it.
func (b *builder) endpoint() {
	if b.in.Live == nil || b.in.Cluster.EndpointMode == inventory.EndpointDirect || b.in.Cluster.EndpointMode == "" || b.onlyOthers() {
		return
	}
	needs := []string{apiStep}
	if b.balance != nil {
		if len(b.missing)+b.skipped > 0 { // they may be nodes without a load balancer
			return
		}
		for _, h := range b.hosts {
			if h.joined() {
				needs = append(needs, h.Name+"/"+balancerStep)
			}
		}
	}
	b.addCluster("endpoint", PhaseControlPlane, "nodes reach the API at "+b.in.Cluster.Endpoint,
		&spec.KubeWork{Endpoint: b.in.Cluster.Endpoint}, needs...)
}

// join adds the ends of all hosts but the one that the run goes by: those that
// have to join do, each as soon as it is prepared and the API answers; the others
// only keep their kubelet right.
func (b *builder) join() error {
	var joining []*host
	for _, h := range b.hosts {
		switch {
		case h == b.control || h.joined():
		case h.workerStill():
			b.note(h.Name, "remove the node, then add it again as a control plane",
				"is a worker of a cluster, and the inventory calls it a control plane: left as it is")
		default:
			joining = append(joining, h)
		}
	}
	ways, err := b.waysIn(joining)
	if err != nil {
		return err
	}
	for _, h := range b.hosts {
		if h == b.control {
			continue
		}
		if slices.Contains(joining, h) {
			if err := b.joinOne(h, ways); err != nil {
				return err
			}
		}
		b.running(h)
	}
	return nil
}

// waysIn is what those that join need from others.
type waysIn struct {
	all     []string // ids of steps that every join needs
	planes  []string // those of control planes besides
	stale   []string // hosts whose node has to be forgotten first
	forget  string
	earlier []string // steps of the control plane that joins before
}

func (b *builder) waysIn(joining []*host) (*waysIn, error) {
	w := &waysIn{}
	if len(joining) == 0 {
		return w, nil
	}
	var names, members []string
	for _, h := range joining {
		names = append(names, h.Name)
		if h.ControlPlane() {
			members = append(members, h.Name)
		}
		if b.live(h.Name) {
			w.stale = append(w.stale, h.Name)
		}
	}
	if len(w.stale) > 0 {
		w.forget = b.addCluster("forget-nodes", PhaseJoin, "forget nodes whose hosts have not joined: "+strings.Join(w.stale, ", "),
			&spec.KubeWork{ForgetNodes: w.stale}, apiStep)
	}
	token := &spec.JoinToken{
		TTLSeconds: tokenSeconds, Description: "made by kforge to join " + strings.Join(names, ", "), CertificateKey: len(members) > 0,
	}
	if b.balance != nil { // a host that has not joined has no load balancer yet
		token.Server = "https://" + net.JoinHostPort(b.control.ip, kubeadm.APIPort)
	}
	id := b.addCluster("join-token", PhaseJoin, "join token", &spec.KubeWork{JoinToken: token}, apiStep)
	w.all = []string{id}
	if len(members) == 0 {
		return w, nil
	}
	command, err := kubeadm.UploadCerts(b.kubeadm(b.control))
	if err != nil {
		return nil, err
	}
	upload := b.control.Name + "/upload-certs"
	b.steps = append(b.steps, graph.Step{
		ID: upload, Host: b.control.Name, Phase: PhaseControlPlane, Class: ClassHost, Title: "CAs for control planes that join",
		Needs: []string{id}, Beside: true,
		Work: &spec.HostWork{Resources: []spec.Resource{command}, Values: []string{spec.ValueCertificateKey}},
	})
	w.planes = []string{upload}
	if b.in.Live != nil {
		// A control plane that was made anew has left a member behind, which would
		// be in the way of the new one.
		const forget = "cluster/forget-members"
		b.steps = append(b.steps, graph.Step{
			ID: forget, Phase: PhaseControlPlane, Class: ClassKube, Needs: []string{apiStep},
			Title: "forget etcd members whose hosts have not joined: " + strings.Join(members, ", "), Work: &spec.EtcdWork{Remove: members},
		})
		w.planes = append(w.planes, forget)
	}
	if slices.ContainsFunc(b.steps, func(s graph.Step) bool { return s.ID == endpointStep }) {
		w.planes = append(w.planes, endpointStep) // kubeadm reads it from the cluster
	}
	return w, nil
}

// joinOne adds the steps by which a host joins. Control planes do so one at a
// time, each when the one before it is healthy or has failed: etcd takes one
// learner at a time, and a member that is not well yet counts as lost already.
func (b *builder) joinOne(h *host, w *waysIn) error {
	command, err := kubeadm.Join(b.kubeadm(h))
	if err != nil {
		return err
	}
	needs := slices.Clone(w.all)
	if slices.Contains(w.stale, h.Name) {
		needs = append(needs, w.forget)
	}
	values := []string{spec.ValueJoinToken, spec.ValueClusterInfo}
	if !h.ControlPlane() {
		b.add(h, "join", PhaseJoin, ClassJoin, "join the cluster",
			&spec.HostWork{Resources: []spec.Resource{command}, Values: values}, needs...)
		return nil
	}
	b.add(h, "join", PhaseControlPlane, ClassJoin, "join as a control plane",
		&spec.HostWork{Resources: []spec.Resource{command}, Values: append(values, spec.ValueCertificateKey)}, append(needs, w.planes...)...)
	joined := len(b.steps) - 1
	b.steps[joined].After = w.earlier
	b.add(h, "healthy", PhaseControlPlane, ClassWait, "etcd and API server are healthy", &spec.KubeWork{Ready: []spec.Ready{
		{Kind: "Pod", Namespace: "kube-system", Name: "etcd-" + h.Name, TimeoutSeconds: b.readySeconds(h.TimeoutScale)},
		{Kind: "Pod", Namespace: "kube-system", Name: "kube-apiserver-" + h.Name, TimeoutSeconds: b.readySeconds(h.TimeoutScale)},
	}})
	w.earlier = []string{b.steps[joined].ID, h.last}
	return nil
}

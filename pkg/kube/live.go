package kube

import (
	"context"
	"encoding/json"
	"sort"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/live"
)

// Live asks for version, nodes and kubeadm's settings, one request each.
func (c *Cluster) Live(ctx context.Context) (*Live, error) {
	raw, err := c.raw.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return nil, apiError(ctx, "ask for the cluster's version", err)
	}
	var v version.Info
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, apiError(ctx, "ask for the cluster's version", err)
	}
	raw, err = c.raw.Get().AbsPath("/api/v1/nodes").SetHeader("Accept", "application/json").DoRaw(ctx)
	if err != nil {
		return nil, apiError(ctx, "list nodes", err)
	}
	var nodes corev1.NodeList
	if err := json.Unmarshal(raw, &nodes); err != nil {
		return nil, apiError(ctx, "list nodes", err)
	}
	state := &Live{Version: v.GitVersion}
	for _, n := range nodes.Items {
		state.Nodes = append(state.Nodes, liveNode(&n))
	}
	if state.Networks, err = c.networks(ctx); err != nil {
		return nil, err
	}
	sort.Slice(state.Nodes, func(i, j int) bool { return state.Nodes[i].Name < state.Nodes[j].Name })
	return state, nil
}

// networks reads what the cluster was made with. Settings that are not there, or
// that cannot be read, tell nothing.
func (c *Cluster) networks(ctx context.Context) (live.Networks, error) {
	u, err := c.systemObject(ctx, configMaps, "kubeadm-config")
	if diag.KindOf(err) == diag.NotFound {
		return live.Networks{}, nil
	}
	if err != nil {
		return live.Networks{}, err
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", "ClusterConfiguration")
	var config struct {
		Networking struct{ PodSubnet, ServiceSubnet, DNSDomain string }
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return live.Networks{}, nil
	}
	n := config.Networking
	return live.Networks{PodCIDR: n.PodSubnet, ServiceCIDR: n.ServiceSubnet, DNSDomain: n.DNSDomain}, nil
}

func liveNode(n *corev1.Node) live.Node {
	out := live.Node{
		Name:          n.Name,
		Kubelet:       n.Status.NodeInfo.KubeletVersion,
		Runtime:       n.Status.NodeInfo.ContainerRuntimeVersion,
		Unschedulable: n.Spec.Unschedulable,
		Labels:        n.Labels,
	}
	if c := nodeCondition(n, corev1.NodeReady); c != nil {
		out.Ready = c.Status == corev1.ConditionTrue
	}
	if v := judgeNode(n); !v.ready {
		out.Why = v.state
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP && out.Address == "" {
			out.Address = a.Address
		}
	}
	for _, t := range n.Spec.Taints {
		out.Taints = append(out.Taints, live.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	return out
}

func nodeCondition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

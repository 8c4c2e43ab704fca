// Package live holds what a running cluster told about itself, as plain structs
// for the planner. It reaches no Kubernetes library and does nothing.
package live

import (
	"slices"
	"strings"
)

// State is one observation of a cluster.
type State struct {
	// Version of the API server: "v1.37.2".
	Version string `json:"version"`
	// Nodes by name, sorted.
	Nodes []Node `json:"nodes,omitempty"`
	// Networks as kubeadm's settings in the cluster have them.
	Networks Networks `json:"networks,omitzero"`
}

// Networks of a cluster; "" where it does not tell.
type Networks struct {
	PodCIDR     string `json:"podCIDR,omitempty"`
	ServiceCIDR string `json:"serviceCIDR,omitempty"`
	DNSDomain   string `json:"dnsDomain,omitempty"`
}

// Node is a machine that has joined.
type Node struct {
	Name string `json:"name"`
	// Ready is the node's condition Ready; see the taints for pressure.
	Ready bool `json:"ready"`
	// Why it is not ready, in the kubelet's or the control plane's words.
	Why string `json:"why,omitempty"`
	// Address in the cluster, an IP.
	Address string `json:"address,omitempty"`
	// Kubelet is the version that the kubelet reports: "v1.37.2".
	Kubelet       string            `json:"kubelet,omitempty"`
	Runtime       string            `json:"runtime,omitempty"` // "containerd://2.4.2"
	Unschedulable bool              `json:"unschedulable,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Taints        []Taint           `json:"taints,omitempty"`
}

// Taint keeps pods away.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

// Object is one that a cluster needs, and how it stands.
type Object struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Ready     bool   `json:"ready"`
	State     string `json:"state"`           // in a few words
	Image     string `json:"image,omitempty"` // the first of its pods
}

// StaticPod is one that a kubelet runs from a file.
type StaticPod struct {
	Name  string `json:"name"` // without its node
	Node  string `json:"node"`
	Image string `json:"image,omitempty"`
	Ready bool   `json:"ready"`
	State string `json:"state"`
}

// Roles of a node, as its node-role.kubernetes.io labels tell, sorted. A node
// without any is a worker.
func (n Node) Roles() []string {
	var out []string
	for label := range n.Labels {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" {
			out = append(out, role)
		}
	}
	if len(out) == 0 {
		return []string{"worker"}
	}
	slices.Sort(out)
	return out
}

// Node finds a node by name.
func (s *State) Node(name string) (Node, bool) {
	if s == nil {
		return Node{}, false
	}
	for _, n := range s.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

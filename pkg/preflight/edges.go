package preflight

import (
	"net"
	"strconv"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// fullMesh is up to how many hosts every pair is measured. Beyond, each host
// measures the ways that it needs and a few neighbours, so that the work grows
// with the number of hosts and not with its square.
const (
	fullMesh   = 10
	neighbours = 3
)

const (
	etcdClient  = 2379
	etcdPeer    = 2380
	apiServer   = 6443
	kubeletPort = 10250
	controller  = 10257
	scheduler   = 10259
	vxlanPort   = 8472
)

// need is a port with what it is for.
type need struct {
	facts.Port
	what string
}

// Way is a pair of hosts to be measured, in one direction.
type Way struct {
	From, To string
	Ports    []facts.Port // on To
}

// apiPort is where the API server of a control plane listens: the endpoint's
// port when the endpoint is that host, else 6443 behind whatever it is.
func apiPort(c *inventory.Cluster, h inventory.ResolvedHost) int {
	host, port, err := net.SplitHostPort(c.Endpoint)
	if err != nil || host != h.Address && host != h.NodeIP && host != h.Name {
		return apiServer
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return apiServer
	}
	return n
}

// listensOn are the ports that Kubernetes will listen on at a host. flannel's
// is held by the kernel, without a process.
func listensOn(c *inventory.Cluster, h inventory.ResolvedHost) []need {
	out := []need{{facts.Port{Proto: "tcp", Port: kubeletPort}, "the kubelet"}}
	if h.ControlPlane() {
		out = append(out,
			need{facts.Port{Proto: "tcp", Port: apiPort(c, h)}, "the API server"},
			need{facts.Port{Proto: "tcp", Port: etcdClient}, "etcd"},
			need{facts.Port{Proto: "tcp", Port: etcdPeer}, "etcd"},
			need{facts.Port{Proto: "tcp", Port: controller}, "the controller manager"},
			need{facts.Port{Proto: "tcp", Port: scheduler}, "the scheduler"},
		)
	}
	if _, port, err := net.SplitHostPort(inventory.LocalEndpoint); err == nil && c.EndpointMode == inventory.EndpointLocal {
		n, err := strconv.Atoi(port)
		if err == nil {
			out = append(out, need{facts.Port{Proto: "tcp", Port: n}, "the load balancer"})
		}
	}
	return append(out, podPorts(c)...)
}

// podPorts are those of the pod network, between all hosts.
func podPorts(c *inventory.Cluster) []need {
	if c.CNI.Plugin == "flannel" && c.CNI.Backend == "vxlan" {
		return []need{{facts.Port{Proto: "udp", Port: vxlanPort}, "the pod network"}}
	}
	return nil
}

// needs are the ports of to that from must reach.
func needs(c *inventory.Cluster, from, to inventory.ResolvedHost) []need {
	var out []need
	if to.ControlPlane() {
		out = append(out, need{facts.Port{Proto: "tcp", Port: apiPort(c, to)}, "the API server"})
	}
	if from.ControlPlane() && to.ControlPlane() {
		out = append(out, need{facts.Port{Proto: "tcp", Port: etcdClient}, "etcd"}, need{facts.Port{Proto: "tcp", Port: etcdPeer}, "etcd"})
	}
	if from.ControlPlane() {
		out = append(out, need{facts.Port{Proto: "tcp", Port: kubeletPort}, "the kubelet"})
	}
	return append(out, podPorts(c)...)
}

// peers are the hosts that a host looks at, itself among them, by their places:
// all of a small fleet, else the control planes and the next few in the ring of
// hosts.
func peers(c *inventory.Cluster, at int) []int {
	n := len(c.Hosts)
	all := n <= fullMesh || c.Hosts[at].ControlPlane()
	var out []int
	for i := range n {
		if ahead := (i - at + n) % n; all || ahead <= neighbours || c.Hosts[i].ControlPlane() {
			out = append(out, i)
		}
	}
	return out
}

// Pairs are the ways that the inventory makes worth measuring, before anything
// is known of the hosts.
func Pairs(c *inventory.Cluster) []Way {
	var out []Way
	for i, from := range c.Hosts {
		for _, at := range peers(c, i) {
			if at == i {
				continue
			}
			to := c.Hosts[at]
			w := Way{From: from.Name, To: to.Name}
			for _, n := range needs(c, from, to) {
				w.Ports = append(w.Ports, n.Port)
			}
			out = append(out, w)
		}
	}
	return out
}

// Measurable tells whether a way can be measured, by the facts of both hosts:
// the far one needs an address of its own. With joining, only ways with a host
// count that has not joined yet.
func Measurable(c *inventory.Cluster, w Way, from, to *facts.Host, joining bool) bool {
	if from == nil || to == nil || joining && joined(from) && joined(to) {
		return false
	}
	h, ok := c.Host(w.To)
	return ok && node.FindAddress(h, to).Found
}

// Syncs tells whether the host's disk is measured, since etcd will write to it.
// With joining, not that of a host that has joined.
func Syncs(h inventory.ResolvedHost, f *facts.Host, joining bool) bool {
	return h.ControlPlane() && f != nil && !(joining && joined(f))
}

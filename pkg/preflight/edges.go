package preflight

import (
	"net"
	"slices"
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

// peers are the hosts that a host looks at: all of a small fleet, else the
// control planes and the next few in the ring of hosts.
func peers(c *inventory.Cluster, host string, itself bool) []inventory.ResolvedHost {
	at := slices.IndexFunc(c.Hosts, func(h inventory.ResolvedHost) bool { return h.Name == host })
	if at < 0 {
		return nil
	}
	n := len(c.Hosts)
	var out []inventory.ResolvedHost
	for i, h := range c.Hosts {
		ahead := (i - at + n) % n
		if ahead == 0 && !itself || n > fullMesh && ahead > neighbours && !h.ControlPlane() && !c.Hosts[at].ControlPlane() {
			continue
		}
		out = append(out, h)
	}
	return out
}

// Ways are the pairs to be measured among the hosts of which there are facts.
// With joining, only those with a host that has not joined yet.
func Ways(c *inventory.Cluster, all map[string]*facts.Host, joining bool) []Way {
	var out []Way
	for _, from := range c.Hosts {
		f := all[from.Name]
		if f == nil {
			continue
		}
		for _, to := range peers(c, from.Name, false) {
			of := all[to.Name]
			if of == nil || joining && joined(f) && joined(of) || !node.FindAddress(to, of).Found {
				continue
			}
			w := Way{From: from.Name, To: to.Name}
			for _, n := range needs(c, from, to) {
				w.Ports = append(w.Ports, n.Port)
			}
			out = append(out, w)
		}
	}
	return out
}

// SyncHosts are the hosts whose disk etcd will write to: control planes.
func SyncHosts(c *inventory.Cluster, all map[string]*facts.Host, joining bool) []string {
	var out []string
	for _, h := range c.ControlPlanes() {
		if f := all[h.Name]; f != nil && !(joining && joined(f)) {
			out = append(out, h.Name)
		}
	}
	return out
}

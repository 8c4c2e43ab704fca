// Package kubeadm writes what kubeadm is told: its configuration, checked
// strictly beforehand, and the two commands that read it. kubeadm itself only
// warns of an unknown field, so a slip would otherwise pass unseen.
package kubeadm

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Input is a host that is to become a node, and the cluster around it.
type Input struct {
	Cluster *inventory.Cluster
	Host    inventory.ResolvedHost
	// Facts of the host.
	Facts *facts.Host
	// NodeIP is the address of the node in the cluster.
	NodeIP string
	// Fleet are the facts of all hosts that are known, by name: what holds for
	// the whole cluster follows from the least of them.
	Fleet map[string]*facts.Host
	// Images of a control plane, for repositories and tags.
	Images []spec.Image
	// Restored: etcd's data and the CAs are there before kubeadm init.
	Restored bool
	// APIServer is host:port of the API as nodes reach it.
	APIServer string
}

// APIPort is where API servers listen, unless the inventory says otherwise.
const APIPort = "6443"

// Image finds the image whose repository ends in name ("etcd", "coredns").
func Image(images []spec.Image, name string) (ref string, ok bool) {
	for _, image := range images {
		repo, _ := split(image.Name)
		if repo == name || strings.HasSuffix(repo, "/"+name) {
			return image.Name, true
		}
	}
	return "", false
}

// split cuts "host:5000/a/b:tag" into "host:5000/a/b" and "tag".
func split(ref string) (repo, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndex(ref, ":"); i > strings.LastIndex(ref, "/") {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}

// imageOf gives the parent repository and tag of the image called name.
func (in Input) imageOf(name string) (repository, tag string, err error) {
	ref, ok := Image(in.Images, name)
	if !ok {
		return "", "", fmt.Errorf("write kubeadm configuration: no image called %s among the artifacts", name)
	}
	repo, tag := split(ref)
	return strings.TrimSuffix(strings.TrimSuffix(repo, name), "/"), tag, nil
}

// APIServer gives host:port of the API: the inventory's endpoint, else the
// control plane's own address.
func APIServer(c *inventory.Cluster, nodeIP string) string {
	if c.Endpoint == "" {
		return net.JoinHostPort(nodeIP, APIPort)
	}
	if _, _, err := net.SplitHostPort(c.Endpoint); err == nil {
		return c.Endpoint
	}
	return net.JoinHostPort(strings.Trim(c.Endpoint, "[]"), APIPort)
}

// bindPort is where this host's own API server listens: the endpoint's port
// when the endpoint is this host, else 6443 behind whatever the endpoint is.
func (in Input) bindPort() int32 {
	host, port, err := net.SplitHostPort(in.APIServer)
	if err == nil && (host == in.NodeIP || host == in.Host.Address || host == in.Host.Name) {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			return int32(n)
		}
	}
	return 6443
}

// CertSANs are the further names of the API server's certificate, sorted.
func (in Input) CertSANs() []string {
	host, _, _ := net.SplitHostPort(in.APIServer)
	// The loopback names are there from the start, so that nodes can be given a
	// load balancer of their own when further control planes come.
	sans := append([]string{host, in.NodeIP, in.Host.Address, in.Host.Name, "127.0.0.1", "localhost"}, in.Cluster.CertSANs...)
	for _, h := range in.Cluster.ControlPlanes() {
		sans = append(sans, h.Address, h.NodeIP, h.Name)
	}
	slices.Sort(sans)
	return slices.DeleteFunc(slices.Compact(sans), func(s string) bool { return s == "" })
}

// sortedFleet gives the facts in the order of the hosts' names.
func sortedFleet(fleet map[string]*facts.Host) []*facts.Host {
	names := make([]string, 0, len(fleet))
	for name := range fleet {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make([]*facts.Host, len(names))
	for i, name := range names {
		out[i] = fleet[name]
	}
	return out
}

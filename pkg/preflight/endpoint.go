package preflight

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// SiteEndpoint is where hosts have to reach the API for endpoints that are not
// their own: the site's load balancer, a virtual address; false when the cluster
// has none.
func SiteEndpoint(c *inventory.Cluster) (host string, port facts.Port, ok bool) {
	host, text, err := net.SplitHostPort(c.Endpoint)
	if err != nil || c.EndpointMode != inventory.EndpointExternal && c.EndpointMode != inventory.EndpointKubeVIP {
		return "", facts.Port{}, false
	}
	n, err := strconv.Atoi(text)
	return host, facts.Port{Proto: "tcp", Port: n}, err == nil
}

// endpoint is about the way there. Before the first control plane runs, a load
// balancer may refuse: some do when nobody is behind them.
func endpoint(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	s, asked := in.Endpoint[h.Name]
	if in.Cluster.EndpointMode == inventory.EndpointKubeVIP {
		return append(virtualNetwork(in, h, f), virtualAddress(in, h, s, asked)...)
	}
	switch {
	case !asked || s.Open:
		return nil
	case s.Error == "refused" && !in.hasControlPlane():
		return warnf("make sure that it passes connections on to the control planes, port 6443, as soon as they run",
			"the API's endpoint %s refuses connections; no control plane runs yet", in.Cluster.Endpoint)
	}
	return errorf("let the load balancer listen there before apply, or name another one: spec.kubernetes.endpoint",
		"the API's endpoint %s is not reached: %s", in.Cluster.Endpoint, s.Error)
}

// virtualAddress is about who has the address: nobody before the first control
// plane runs, one of them from then on.
func virtualAddress(in Input, h inventory.ResolvedHost, s facts.PortState, asked bool) []Finding {
	answers := s.Open || s.Error == "refused"
	switch {
	case in.hasControlPlane() && !in.hasVirtualIP():
		// The address has to be in the API servers' certificates, which are there.
		if !h.ControlPlane() {
			return nil
		}
		return errorf("choose endpointMode local or external", "the cluster was made without a virtual address: its certificates are not for it")
	case !asked || answers == in.hasControlPlane():
		return nil
	case answers:
		return errorf("find the machine and give it another address, or name an address that is free: spec.kubernetes.endpoint",
			"some machine has the API's virtual address %s already", in.Cluster.Endpoint)
	}
	// No error: apply goes by a control plane's own API server, and may mend it.
	return warnf("look at the pods kforge-vip of the control planes: one of them holds the address",
		"the API's virtual address %s is not reached: %s", in.Cluster.Endpoint, s.Error)
}

// virtualNetwork finds a control plane that could not hold the address: others
// ask for it in their own network, by ARP.
func virtualNetwork(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	host, _, err := net.SplitHostPort(in.Cluster.Endpoint)
	if err != nil || !h.ControlPlane() || f == nil {
		return nil
	}
	own := node.FindAddress(h, f)
	ip, err := netip.ParseAddr(host)
	if err != nil || !own.Found {
		return nil
	}
	for _, text := range own.Interface.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil && p.Contains(ip) {
			return nil
		}
	}
	return errorf("name an address of the network that all control planes share, or choose endpointMode local",
		"the API's virtual address %s lies in no network of %s, which has %s", ip, own.Interface.Name, own.IP)
}

// hasControlPlane tells whether one of the hosts is a control plane already.
func (in Input) hasControlPlane() bool {
	for _, f := range in.Facts {
		if f != nil && f.Kubernetes.AdminConf {
			return true
		}
	}
	return false
}

// hasVirtualIP tells whether a control plane takes part in the virtual address
// already.
func (in Input) hasVirtualIP() bool {
	for _, f := range in.Facts {
		if f != nil && slices.ContainsFunc(f.Leftovers, func(l facts.Leftover) bool { return l.Path == node.VirtualIPManifest }) {
			return true
		}
	}
	return false
}

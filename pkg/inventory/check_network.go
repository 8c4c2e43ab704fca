package inventory

import (
	"fmt"
	"net/netip"
)

// Every host gets a /24 of the pod network. A /24 has 253 addresses for pods:
// not the network's own, the bridge's and the broadcast address. This bounds
// maxPods, by its tag.
const nodeBits = 24

// Bounds of the service network: the API server takes at most 2^20 addresses,
// and kubeadm gives the tenth to DNS.
const (
	widestService    = 12
	narrowestService = 28
)

func (ch *checker) network() {
	const podAt, serviceAt = "spec.network.podCIDR", "spec.network.serviceCIDR"
	pods := ch.prefix(podAt, ch.c.PodCIDR)
	services := ch.prefix(serviceAt, ch.c.ServiceCIDR)
	if pods.IsValid() {
		ch.podSize(podAt, pods)
	}
	if b := services.Bits(); services.IsValid() && (b < widestService || b > narrowestService) {
		ch.fail(serviceAt, "%s: a service network is a /%d to a /%d, got %s", serviceAt, widestService, narrowestService, services)
		services = netip.Prefix{}
	}
	if pods.IsValid() && services.IsValid() && pods.Overlaps(services) {
		at := podAt
		if !ch.given(podAt) {
			at = serviceAt
		}
		ch.fail(at, "the pod network %s and the service network %s overlap", pods, services)
	}
	ch.overlaps(podAt, "pod", pods)
	ch.overlaps(serviceAt, "service", services)
	if at := "spec.network.dnsDomain"; ch.given(at) {
		ch.must(at, checkDNSName(ch.c.DNSDomain))
	}
	if mtu := ch.c.CNI.MTU; mtu != 0 && mtu < 1280 {
		ch.fail("spec.network.cni.mtu", "spec.network.cni.mtu: want 1280 to 9216, or 0 to take what the hosts' interfaces have, got %d", mtu)
	}
}

// prefix reads an IPv4 network in masked form. The zero Prefix means that it
// is not one, which has been noted.
func (ch *checker) prefix(at, s string) netip.Prefix {
	if ch.spoiled(at) {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		ch.fail(at, "%s: %s is not a network such as %q", at, quote(s), defaultPodCIDR)
	case !p.Addr().Is4():
		ch.failHint("IPv6 and dual stack are not supported yet", at, "%s: %s is not an IPv4 network", at, p)
	case p != p.Masked():
		ch.fail(at, "%s: %s has bits set behind the mask: write %q", at, p, p.Masked())
	case p.Overlaps(netip.MustParsePrefix("127.0.0.0/8")) || p.Overlaps(netip.MustParsePrefix("224.0.0.0/3")) ||
		p.Overlaps(netip.MustParsePrefix("169.254.0.0/16")) || p.Contains(netip.IPv4Unspecified()):
		ch.fail(at, "%s: %s holds loopback, link-local, multicast or unspecified addresses", at, p)
	default:
		return p
	}
	return netip.Prefix{}
}

// podSize wants a /24 for each host; a cluster network wider than /8 is more
// than the controller manager can count.
func (ch *checker) podSize(at string, pods netip.Prefix) {
	hosts := len(ch.c.Hosts)
	if pods.Bits() < 8 || pods.Bits() > nodeBits {
		ch.fail(at, "%s: a pod network is a /8 to a /%d, since every host gets a /%d of it, got %s", at, nodeBits, nodeBits, pods)
	} else if room := 1 << (nodeBits - pods.Bits()); room < hosts {
		ch.fail(at, "%s: %s has room for %d hosts (a /%d each), the inventory has %d", at, pods, room, nodeBits, hosts)
	}
}

// overlaps finds addresses of the site inside a network of the cluster.
func (ch *checker) overlaps(at, what string, p netip.Prefix) {
	if !p.IsValid() {
		return
	}
	inside := func(s string) bool {
		addr, err := netip.ParseAddr(s)
		return err == nil && p.Contains(addr.Unmap())
	}
	complain := func(where, who string) {
		ch.failHint("choose another "+at, where, "%s is inside the %s network %s", who, what, p)
	}
	for i, h := range ch.inv.Spec.Hosts {
		host := fmt.Sprintf("spec.hosts[%d]", i)
		if inside(h.Address) {
			complain(host+".address", fmt.Sprintf("the address %s of host %q", h.Address, h.Name))
		}
		if h.NodeIP != h.Address && inside(h.NodeIP) {
			complain(host+".nodeIP", fmt.Sprintf("the nodeIP %s of host %q", h.NodeIP, h.Name))
		}
	}
	if host, _, err := splitHostPort(ch.inv.Spec.Kubernetes.Endpoint); err == nil && inside(host) {
		complain("spec.kubernetes.endpoint", "the endpoint "+host)
	}
	for i, s := range ch.c.DNSServers {
		if inside(s) {
			complain(fmt.Sprintf("spec.dns.servers[%d]", i), "the DNS server "+s)
		}
	}
}

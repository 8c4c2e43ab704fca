package node

import (
	"net/netip"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// Address is a host's address in the cluster and the interface that has it.
type Address struct {
	IP        string
	Interface facts.Interface
	// Found tells whether an interface of the host has the address.
	Found bool
}

// FindAddress decides the node's address: nodeIP of the inventory; the SSH
// address when an interface of the host has it (behind a port forward it has
// not); the first IPv4 address of the interface with the default route. IP is
// empty when all of that fails.
func FindAddress(h inventory.ResolvedHost, f *facts.Host) Address {
	for _, wanted := range []string{h.NodeIP, h.Address} {
		ip, err := netip.ParseAddr(wanted)
		if err != nil {
			continue
		}
		// A loopback is the near end of a port forward, not the host's address.
		if iface, ok := holder(f, ip); ok && !ip.IsLoopback() {
			return Address{IP: ip.String(), Interface: iface, Found: true}
		}
		if wanted == h.NodeIP {
			return Address{IP: ip.String()}
		}
	}
	for _, iface := range f.Interfaces {
		if iface.Name != f.DefaultInterface {
			continue
		}
		for _, a := range iface.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr().Is4() {
				return Address{IP: p.Addr().String(), Interface: iface, Found: true}
			}
		}
	}
	return Address{}
}

func holder(f *facts.Host, ip netip.Addr) (facts.Interface, bool) {
	for _, iface := range f.Interfaces {
		for _, a := range iface.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr().Unmap() == ip.Unmap() {
				return iface, true
			}
		}
	}
	return facts.Interface{}, false
}

package preflight

import (
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// timeServers tells where the inventory's time servers cannot be set.
func timeServers(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	_, err := node.Clock(h.TimeServers, f, h.TimeoutScale)
	return cannot(err)
}

// hostDNS tells where hosts cannot be made to ask the inventory's DNS servers.
func hostDNS(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	if !in.Cluster.ManageHostDNS {
		return nil
	}
	_, err := node.HostDNS(in.Cluster.DNSServers, f.Resolver, h.TimeoutScale)
	return cannot(err)
}

func cannot(err error) []Finding {
	if err == nil {
		return nil
	}
	return errorf(diag.Hint(err), "%v", err)
}

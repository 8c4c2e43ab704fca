package preflight

import (
	"slices"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// Rule is what can be told of a rule.
type Rule struct {
	Name     string `json:"name"`
	Protects string `json:"protects"` // what would go wrong without it
	// Warn and Fail are its limits unless the inventory has others; zero for
	// rules without.
	Warn time.Duration `json:"-"`
	Fail time.Duration `json:"-"`

	// One of them is set. Findings of host need not name rule and host, those
	// of fleet need not name the rule.
	host  func(Input, inventory.ResolvedHost, *facts.Host) []Finding
	fleet func(Input) []Finding
}

// catalogue lists the rules in the order of reports: those of single hosts, then
// those that compare hosts.
var catalogue = []Rule{
	{Name: "reach", Protects: "every host can be logged in to and gives root rights", fleet: reach},
	{Name: "architecture", Protects: "there are binaries and images for the machine", host: architecture},
	{Name: "systemd", Protects: "units can be run", host: systemd},
	{Name: "kernel", Protects: "the kernel has what Kubernetes and containerd need", host: kernel},
	{Name: "cgroup-v1", Protects: "the kubelet starts, and goes on to with coming versions", host: cgroup},
	{Name: "cgroup-controllers", Protects: "the kernel can limit what pods take", host: controllers},
	{Name: "kmsg", Protects: "the kubelet finds the kernel's log", host: kmsg},
	{Name: "resources", Protects: "CPU and memory suffice", host: resources},
	{Name: "disk", Protects: "there is room for images, and no disk pressure from the start", host: disk},
	{Name: "inodes", Protects: "the same for files on the disk", host: inodes},
	{Name: "node-address", Protects: "the node has an address that others reach", host: address},
	{Name: "foreign-containerd", Protects: "nobody else's container runtime is overwritten", host: foreignContainerd},
	{Name: "conflict", Protects: "no other software fights over containers and their network", host: conflict},
	{Name: "foreign-kubelet", Protects: "nobody else's kubelet runs beside ours", host: foreignKubelet},
	{Name: "stale-join", Protects: "the host is not a node of another cluster", host: staleJoin},
	{Name: "port-held", Protects: "the ports that Kubernetes listens on are free", host: portHeld},
	{Name: "swap", Protects: "swap can be turned off, and stays off", host: swap},
	{Name: "resolver", Protects: "pods have DNS servers that they can ask", host: resolver},
	{Name: "dns-servers", Protects: "each of the host's DNS servers answers", host: dnsServers},
	{Name: "dns-hosts", Protects: "hosts ask the inventory's DNS servers, when they are to", host: hostDNS},
	{Name: "dns-limits", Protects: "no server or search domain is left out silently", host: dnsLimits},
	{Name: "dns-external", Protects: "names outside the cluster resolve", host: dnsExternal},
	{Name: "endpoint", Protects: "the site's load balancer for the API takes connections from the host", host: endpoint},
	{Name: "dns-wildcard", Protects: "no search domain answers for names of the cluster", host: dnsWildcard},
	{Name: "time-sync", Protects: "the clock is kept", host: timeSync},
	{Name: "time-servers", Protects: "the inventory's time servers can be set", host: timeServers},
	{Name: "time-answers", Protects: "the inventory's time servers answer the host", host: timeAnswers},
	{Name: "time-sources", Protects: "the time daemon reaches its servers", host: timeSources},
	{Name: "fsync", Protects: "etcd's disk is fast enough", host: fsync},
	{Name: "secure-boot", Protects: "the GPU's driver can be loaded", host: secureBoot},
	{Name: "updatedb", Protects: "the file indexer does not read containers and volumes", host: updatedb},
	{Name: "hostname", Protects: "hosts have names of their own that a node may have", fleet: hostnames},
	{Name: "clock", Protects: "hosts agree on the time: certificates, leases, logs", fleet: clock},
	{Name: "certificate-clock", Protects: "no host takes the cluster's certificates for not yet valid", fleet: certificateClock},
	{Name: "machine-id", Protects: "hosts are not copies of one image", fleet: machineID},
	{Name: "product-uuid", Protects: "hosts are not clones of one virtual machine", fleet: productUUID},
	{Name: "mac", Protects: "no two network cards have one address", fleet: macs},
	{Name: "dns-names", Protects: "names of hosts and of the API lead to them, from every host", fleet: dnsNames},
	{Name: "ports", Protects: "hosts reach each other on the ports that they need", fleet: ports},
	{Name: "path-mtu", Protects: "large packets come through", fleet: pathMTU},
	{Name: "link", Protects: "links agree in MTU and speed", fleet: link},
	{Name: "route", Protects: "packets go and come back the same way, with the node's address", fleet: route},
	{Name: "round-trip", Protects: "hosts are near to each other", fleet: roundTrip},
}

// limits are warn and fail of the rules that have them.
var limits = map[string][2]time.Duration{
	"fsync":      {10 * time.Millisecond, 500 * time.Millisecond},
	"clock":      {clockWarning, clockError},
	"round-trip": {50 * time.Millisecond, 100 * time.Millisecond},
}

// Rules names every rule in order, for documentation and tests.
func Rules() []string {
	var out []string
	for _, r := range catalogue {
		out = append(out, r.Name)
	}
	return out
}

// Catalogue gives every rule in order.
func Catalogue() []Rule {
	out := slices.Clone(catalogue)
	for i := range out {
		l := limits[out[i].Name]
		out[i].Warn, out[i].Fail = l[0], l[1]
	}
	return out
}

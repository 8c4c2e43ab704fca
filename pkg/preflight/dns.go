package preflight

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

const (
	// external is a name that every cluster that asks outside could need.
	external = "registry.k8s.io."
	// nobody is a label that nothing has: an answer to it is a wildcard's.
	nobody = "kforge-no-such-name"
	// Limits of the kubelet; a pod adds three domains of its own.
	maxServers     = 3
	maxSearch      = 32 - 3
	maxSearchChars = 2048
)

// Names are what a host should look up, so that the rules have their answers.
func Names(c *inventory.Cluster, host string, f *facts.Host) []string {
	names := Neighbours(c, host)
	if name := endpointName(c); name != "" && !slices.Contains(names, name) {
		names = append(names, name)
	}
	names = append(names, external)
	for _, d := range f.Resolver.Search {
		if d = strings.Trim(d, "."); d != "" {
			names = append(names, nobody+".svc."+c.DNSDomain+"."+d+".")
		}
	}
	return names
}

// Neighbours are the hosts whose names and addresses a host should look up, by
// name, the host itself among them.
func Neighbours(c *inventory.Cluster, host string) []string {
	at := slices.IndexFunc(c.Hosts, func(h inventory.ResolvedHost) bool { return h.Name == host })
	if at < 0 {
		return nil
	}
	var names []string
	for _, i := range peers(c, at) {
		names = append(names, c.Hosts[i].Name)
	}
	return names
}

// endpointName is the API's host where that is a name.
func endpointName(c *inventory.Cluster) string {
	host, _, err := net.SplitHostPort(c.Endpoint)
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}

// silent tells that no server of the host answers at all: one finding says it.
func silent(f *facts.Host) bool {
	answered := func(a facts.DNSAnswer) bool { return a.Code != "" }
	return len(f.Resolver.Answers) > 0 && !slices.ContainsFunc(f.Resolver.Answers, answered)
}

// dnsServers finds servers that say nothing. A resolver on the host itself that
// fails at every question, the root and the host's own name, says nothing either:
// it asks itself, or a server that it does not reach.
func dnsServers(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	var order, mute, stubs []string
	why := map[string]string{}
	for _, a := range f.Resolver.Answers {
		if !slices.Contains(order, a.Server) {
			order = append(order, a.Server)
			why[a.Server] = cmp.Or(a.Error, "no answer")
		}
		switch failed := a.Code == "SERVFAIL" || a.Code == "REFUSED"; {
		case a.Code == "":
		case failed && node.Loopback([]string{a.Server}):
			if why[a.Server] != "" {
				why[a.Server] = a.Code
			}
		default:
			why[a.Server] = ""
		}
	}
	for _, s := range order {
		text := s + " (" + why[s] + ")"
		switch {
		case why[s] == "":
		case node.Loopback([]string{s}):
			stubs = append(stubs, text)
		default:
			mute = append(mute, text)
		}
	}
	var out []Finding
	if len(stubs) > 0 {
		out = append(out, warnf("look whom it asks, itself perhaps (`ss -lunp sport = :53` names it), or name other servers in "+f.Resolver.Path,
			"the resolver on the host itself has no answers: %s", strings.Join(stubs, ", "))...)
	}
	switch {
	case len(mute) == 0:
	case len(mute)+len(stubs) == len(order):
		out = append(out, warnf("let UDP and TCP port 53 through to them, or name others in "+f.Resolver.Path,
			"no DNS server answers: %s", strings.Join(mute, ", "))...)
	default:
		out = append(out, warnf("let UDP and TCP port 53 through to it, or take it out of "+f.Resolver.Path+": each question to it costs seconds",
			"DNS servers that do not answer: %s", strings.Join(mute, ", "))...)
	}
	return out
}

func dnsLimits(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	var out []Finding
	servers := f.Resolver.Servers
	if len(f.Resolver.Upstreams) > 0 {
		servers = f.Resolver.Upstreams
	}
	if len(servers) > maxServers {
		out = append(out, warnf("keep the best three in "+f.Resolver.Path,
			"%d DNS servers, and only three are ever asked: not %s", len(servers), strings.Join(servers[maxServers:], ", "))...)
	}
	chars := len(strings.Join(f.Resolver.Search, " "))
	if n := len(f.Resolver.Search); n > maxSearch || chars > maxSearchChars {
		out = append(out, warnf("shorten `search` in "+f.Resolver.Path,
			"%d search domains with %d characters: pods take %d at the most, with %d characters", n, chars, maxSearch, maxSearchChars)...)
	}
	return out
}

// dnsExternal finds servers that cannot look outward. A site whose servers say
// that there is no such name has decided so: hosts need nothing from outside.
func dnsExternal(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	l, ok := find(in.Lookups[h.Name], external)
	name := strings.TrimSuffix(external, ".")
	switch {
	case !ok || len(l.Answers) > 0 || silent(f):
		return nil
	case l.Missing:
		return noticef("nothing, unless pods need names from outside: then let the host's DNS servers resolve them", "%s does not resolve: there is no such name here", name)
	}
	return warnf("let the host's DNS servers resolve outside names", "%s does not resolve: %s", name, l.Error)
}

// dnsWildcard finds a search domain that answers for everything: a pod that asks
// for service.namespace.svc.cluster.local without a final dot tries the search
// domains first, and gets the wildcard's address.
func dnsWildcard(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	var out []Finding
	for _, l := range in.Lookups[h.Name] {
		domain, ok := strings.CutPrefix(l.Question, nobody+".svc."+in.Cluster.DNSDomain+".")
		if ok && len(l.Answers) > 0 {
			out = append(out, errorf("take the domain out of `search` in "+f.Resolver.Path+", or the wildcard out of the domain",
				"the search domain %s answers for every name (%s for %s), so pods would be led there by names of the cluster",
				strings.TrimSuffix(domain, "."), strings.Join(l.Answers, ", "), strings.TrimSuffix(l.Question, "."))...)
		}
	}
	return out
}

func find(all []facts.Lookup, question string) (facts.Lookup, bool) {
	for _, l := range all {
		if l.Question == question {
			return l, true
		}
	}
	return facts.Lookup{}, false
}

// dnsNames checks that names lead to their hosts. Kubernetes needs none of them
// but the API's: a site that names no host at all gets a notice, one whose hosts
// disagree a warning.
func dnsNames(in Input) []Finding {
	var out []Finding
	named := false // some host knows the name of another
	missing := map[string][]string{}
	book := newBook(in)
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil || in.Lookups[h.Name] == nil || silent(f) && !knowsAny(in, h.Name) {
			continue
		}
		if name := endpointName(in.Cluster); name != "" {
			if l, ok := find(in.Lookups[h.Name], name); ok && len(l.Answers) == 0 {
				out = append(out, on(h.Name, errorf("add it to your DNS, or to /etc/hosts of every host",
					"the API's name %s does not resolve (%s)", name, cmp.Or(l.Error, "there is no such name")))...)
			}
		}
		for _, a := range book.asked(h.Name) {
			other := in.Cluster.Hosts[a.host]
			of := in.Facts[other.Name]
			switch l := a.byName; {
			case l == nil || of == nil:
			case len(l.Answers) == 0 && other.Name != h.Name && silent(f): // dns-servers says it
			case len(l.Answers) == 0 && other.Name != h.Name:
				missing[h.Name] = append(missing[h.Name], other.Name)
			case len(l.Answers) == 0:
				out = append(out, on(h.Name, noticef("add it to /etc/hosts: 127.0.1.1 "+h.Name, "the host does not know its own name %s", h.Name))...)
			default:
				named = named || other.Name != h.Name
				if wrong := strangers(l.Answers, other, of, other.Name == h.Name); len(wrong) > 0 {
					out = append(out, on(h.Name, warnf("put the name right in your DNS, or in /etc/hosts",
						"the name %s leads to %s, which is no address of that host", other.Name, strings.Join(wrong, ", ")))...)
				}
			}
			if a.byAddress != nil && of != nil {
				out = append(out, on(h.Name, reverse(in, *a.byAddress, other, of))...)
			}
		}
	}
	for _, h := range in.Cluster.Hosts {
		if lost := missing[h.Name]; len(lost) > 0 && named {
			out = append(out, on(h.Name, warnf("add them to your DNS, or to /etc/hosts", "names of other hosts do not resolve: %s", strings.Join(lost, ", ")))...)
		}
	}
	if len(missing) > 0 && !named {
		out = append(out, noticef("nothing: nodes reach each other by address; add hosts to your DNS where people or programs want names",
			"hosts do not know each other's names")...)
	}
	return out
}

// book finds the hosts that lookups are about. A host asks about a few others
// only: to go through all pairs of hosts would take longer than to check them.
type book struct {
	in        Input
	byName    map[string]int // place in the inventory
	byAddress map[string]int
}

func newBook(in Input) *book {
	b := &book{in, map[string]int{}, map[string]int{}}
	for i, h := range in.Cluster.Hosts {
		b.byName[h.Name] = i
		if f := in.Facts[h.Name]; f != nil {
			if ip := node.FindAddress(h, f).IP; ip != "" {
				b.byAddress[ip] = i
			}
		}
	}
	return b
}

// aboutHost is what one host heard of another, by its place in the inventory.
type aboutHost struct {
	host              int
	byName, byAddress *facts.Lookup // nil: not asked
}

// asked gives what a host heard of others, in the inventory's order.
func (b *book) asked(host string) []aboutHost {
	all := b.in.Lookups[host]
	heard := map[int]aboutHost{}
	for i := range all {
		if at, ok := b.byName[all[i].Question]; ok {
			a := heard[at]
			a.byName = cmp.Or(a.byName, &all[i])
			heard[at] = a
		}
		if at, ok := b.byAddress[all[i].Question]; ok {
			a := heard[at]
			a.byAddress = cmp.Or(a.byAddress, &all[i])
			heard[at] = a
		}
	}
	var out []aboutHost
	for _, at := range slices.Sorted(maps.Keys(heard)) {
		a := heard[at]
		a.host = at
		out = append(out, a)
	}
	return out
}

// knowsAny tells that a host without DNS knows names of others all the same.
func knowsAny(in Input, host string) bool {
	return slices.ContainsFunc(in.Lookups[host], func(l facts.Lookup) bool { return l.Question != host && len(l.Answers) > 0 })
}

// strangers are the addresses that a host does not have. For its own name a host
// may have a loopback address.
func strangers(answers []string, h inventory.ResolvedHost, f *facts.Host, itself bool) []string {
	var out []string
	for _, text := range answers {
		ip, err := netip.ParseAddr(text)
		if err != nil || itself && ip.IsLoopback() || text == h.Address || text == h.NodeIP || has(f, ip) {
			continue
		}
		out = append(out, text)
	}
	return out
}

func has(f *facts.Host, ip netip.Addr) bool {
	for _, i := range f.Interfaces {
		for _, a := range i.Addresses {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr().Unmap() == ip.Unmap() {
				return true
			}
		}
	}
	return false
}

// reverse finds an address of a host that leads to the name of another one.
func reverse(in Input, l facts.Lookup, other inventory.ResolvedHost, of *facts.Host) []Finding {
	for _, name := range l.Answers {
		short, _, _ := strings.Cut(name, ".")
		if _, isOther := in.Cluster.Host(short); isOther && short != other.Name && short != of.Hostname {
			return warnf("put the PTR record right in your DNS", "the address %s of %s leads back to the name %s", l.Question, other.Name, name)
		}
	}
	return nil
}

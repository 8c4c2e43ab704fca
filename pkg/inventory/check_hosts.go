package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// mostControlPlanes is as many etcd members as its own documentation advises at
// most: seven is its limit, and five survive two failures.
const mostControlPlanes = 5

// hosts checks hosts, classes and defaults.
func (ch *checker) hosts() {
	s := ch.inv.Spec
	ch.checks("spec.checks", s.Checks)
	ch.settings("spec.defaults", s.Defaults)
	for _, name := range slices.Sorted(maps.Keys(s.Classes)) {
		at := index("spec.classes", name)
		if !dnsLabel.MatchString(name) {
			ch.failKey(at, "the class name %s is not a DNS label (a-z, 0-9 and - inside, at most 63 characters)", quote(name))
		}
		ch.settings(at, s.Classes[name])
	}
	for i, h := range s.Hosts {
		ch.host(fmt.Sprintf("spec.hosts[%d]", i), h)
	}
	ch.unique()
	if ch.clean("spec.hosts") && ch.clean("spec.defaults") && ch.clean("spec.classes") {
		ch.roles()
	}
}

func (ch *checker) host(at string, h Host) {
	say := func(key string, err error) {
		if err != nil && ch.given(at+"."+key) {
			ch.fail(at+"."+key, "host %s: %v", quote(h.Name), err)
		}
	}
	if ch.given(at+".name") && !ch.spoiled(at+".name") {
		if err := checkNodeName(h.Name); err != nil {
			ch.fail(at+".name", "host: %v", err)
		}
	}
	ch.address(at+".address", h)
	if addr, err := netip.ParseAddr(h.NodeIP); err != nil || !addr.Is4() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsMulticast() {
		say("nodeIP", fmt.Errorf("nodeIP %s is not the IPv4 address of a host", quote(h.NodeIP)))
	}
	if _, ok := ch.inv.Spec.Classes[h.Class]; !ok && ch.given(at+".class") {
		known := slices.Sorted(maps.Keys(ch.inv.Spec.Classes))
		hint := "there are no classes: add one to spec.classes"
		if len(known) > 0 {
			hint = "known classes: " + strings.Join(known, ", ")
		}
		ch.failHint(hint, at+".class", "host %s: unknown class %s%s", quote(h.Name), quote(h.Class), didYouMean(h.Class, known))
	}
	say("hostKey", checkHostKey(h.HostKey))
	ch.settings(at, h.HostSettings)
}

func (ch *checker) address(at string, h Host) {
	err := checkAddress(h.Address)
	if err == nil || !ch.given(at) {
		return
	}
	hint := ""
	if t, perr := parseTarget(h.Address); perr == nil {
		var rest []string
		if t.User != "" {
			rest = append(rest, "user: "+t.User)
		}
		if t.Port != 0 {
			rest = append(rest, "port: "+strconv.Itoa(t.Port))
		}
		hint = "write address: " + t.Address + " and beside it " + strings.Join(rest, ", ")
	}
	ch.failHint(hint, at, "host %s: %v", quote(h.Name), err)
}

// settings checks what defaults, classes and hosts have in common.
func (ch *checker) settings(at string, s HostSettings) {
	if s.User != "" {
		ch.must(at+".user", checkUser(s.User))
	}
	for i, r := range s.Roles {
		if slices.Contains(s.Roles[:i], r) {
			ch.fail(fmt.Sprintf("%s.roles[%d]", at, i), "%s.roles: %q is given twice", at, r)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		where := index(at+".labels", key)
		if err := checkLabelKey(key); err != nil {
			ch.failKey(where, "%s.labels: %v", at, err)
		}
		if err := checkLabelValue(s.Labels[key]); err != nil {
			ch.fail(where, "%s.labels: %v", at, err)
		}
	}
	ch.checks(at+".checks", s.Checks)
	ch.taints(at+".taints", s.Taints)
	ch.timeServers(at+".time", s.Time)
	if s.Reserved.CPU != "" {
		ch.must(at+".reserved.cpu", checkCPU(s.Reserved.CPU))
	}
	if s.Reserved.Memory != "" {
		ch.must(at+".reserved.memory", checkMemory(s.Reserved.Memory))
	}
}

// timeServers wants names or addresses of others, each once.
func (ch *checker) timeServers(at string, t Time) {
	for i, s := range t.Servers {
		where := fmt.Sprintf("%s.servers[%d]", at, i)
		ch.must(where, checkAddress(s))
		if addr, err := netip.ParseAddr(s); err == nil && addr.IsLoopback() {
			ch.fail(where, "%s: %s is the host itself", where, addr)
		}
		if slices.Contains(t.Servers[:i], s) {
			ch.fail(where, "%s: the server %s is named twice", where, quote(s))
		}
	}
}

func (ch *checker) taints(at string, taints []Taint) {
	type id struct{ key, effect string }
	seen := map[id]bool{}
	for i, t := range taints {
		where := fmt.Sprintf("%s[%d]", at, i)
		if ch.given(where + ".key") {
			if err := checkLabelKey(t.Key); err != nil {
				ch.fail(where+".key", "%s: %v", where, err)
			}
		}
		if err := checkLabelValue(t.Value); err != nil {
			ch.fail(where+".value", "%s: %v", where, err)
		}
		if seen[id{t.Key, t.Effect}] {
			ch.fail(where, "%s: the taint %s with effect %s is given twice", where, t.Key, t.Effect)
		}
		seen[id{t.Key, t.Effect}] = true
	}
}

// unique finds hosts that are one host: by name, by where SSH goes, and by
// node address. One address with two ports may be two hosts behind a gateway.
func (ch *checker) unique() {
	names, places, nodes := map[string]int{}, map[string]int{}, map[string]int{}
	hosts := ch.c.Hosts
	line := func(i int) int { return ch.pos(fmt.Sprintf("spec.hosts[%d]", i)).Line }
	who := func(i int) string {
		return fmt.Sprintf("host %s in line %d", quote(hosts[i].Name), line(i))
	}
	for i, h := range hosts {
		at := fmt.Sprintf("spec.hosts[%d]", i)
		if before, ok := names[strings.ToLower(h.Name)]; ok {
			ch.fail(at+".name", "the host name %s is taken in line %d already", quote(h.Name), line(before))
		} else if h.Name != "" {
			names[strings.ToLower(h.Name)] = i
		}
		once := func(seen map[string]int, key, where, value string) {
			if before, ok := seen[key]; ok {
				ch.fail(at+"."+where, "host %s: %s %s is that of %s too", quote(h.Name), where, value, who(before))
			} else if value != "" {
				seen[key] = i
			}
		}
		once(places, net.JoinHostPort(canonical(h.Address), strconv.Itoa(cmp.Or(h.Port, 22))), "address", h.Address)
		once(nodes, canonical(h.NodeIP), "nodeIP", h.NodeIP)
	}
	// A host without nodeIP is known by its address, where that is not also
	// the address of another host.
	for i, h := range hosts {
		if before, ok := nodes[canonical(h.Address)]; ok && h.NodeIP == "" {
			ch.fail(fmt.Sprintf("spec.hosts[%d].address", i), "host %s: address %s is the nodeIP of %s", quote(h.Name), h.Address, who(before))
		}
	}
}

func canonical(address string) string {
	if addr, err := netip.ParseAddr(address); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(address, "."))
}

// roles checks that the hosts together make a cluster.
func (ch *checker) roles() {
	const at = "spec.hosts"
	if len(ch.c.Hosts) == 0 {
		ch.fail(at, "spec.hosts: there are no hosts")
		return
	}
	planes, workers := 0, 0
	for i, h := range ch.c.Hosts {
		if h.Worker() {
			workers++
		}
		if !h.ControlPlane() {
			continue
		}
		if planes++; planes > mostControlPlanes {
			where := fmt.Sprintf("%s[%d]", at, i)
			if ch.given(where + ".roles") {
				where += ".roles"
			}
			ch.failHint(fmt.Sprintf("give the role control-plane to %d hosts at most", mostControlPlanes), where,
				"host %s is control plane number %d: etcd slows down with every member and gains little beyond %d", quote(h.Name), planes, mostControlPlanes)
		}
	}
	switch {
	case planes == 0:
		ch.failHint("add roles: [control-plane] to one host", at, "no host has the role control-plane")
	case planes%2 == 0:
		ch.warn(at, "%d control planes survive no more failures than %d", planes, planes-1)
	}
	if workers == 0 && planes > 0 {
		ch.warn(at, "no host has the role worker: ordinary pods have nowhere to run")
	}
}

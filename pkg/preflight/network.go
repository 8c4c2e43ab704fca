package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// vxlanOverhead is what flannel's overlay takes from each packet.
const vxlanOverhead = 50

// Blocked tells whether a port was not reached. One that somebody else holds
// would not answer our datagrams.
func Blocked(p facts.PortState) bool { return !p.Open && (!p.Held || p.Proto != "udp") }

// ports finds needed ports that are not reached. A port that is blocked is told
// of the host that has it, since its firewall is the likely cause; the API's is
// told of who cannot reach it, since that is who cannot join.
func ports(in Input) []Finding {
	type blocked struct {
		host string // that cannot work
		n    need
		to   string
		why  string
	}
	from := map[blocked][]string{}
	var order []blocked
	for _, p := range in.Paths {
		src, ok1 := in.Cluster.Host(p.From)
		dst, ok2 := in.Cluster.Host(p.To)
		if !ok1 || !ok2 {
			continue
		}
		for _, n := range needs(in.Cluster, src, dst) {
			i := slices.IndexFunc(p.Ports, func(s facts.PortState) bool { return s.Port == n.Port })
			if i < 0 || !Blocked(p.Ports[i]) {
				continue
			}
			b := blocked{host: p.To, n: n, to: p.To, why: p.Ports[i].Error}
			if n.what == "the API server" {
				b.host = p.From
			}
			if from[b] == nil {
				order = append(order, b)
			}
			from[b] = append(from[b], p.From)
		}
	}
	var out []Finding
	for _, b := range order {
		hint := "something on the way answers in its place: look for a proxy or a redirecting rule of iptables"
		switch b.why {
		case "no answer":
			hint = "a firewall drops it, on the host or between: let the nodes through to this port"
		case "refused":
			hint = "a firewall refuses it, on the host or between: let the nodes through to this port"
		case "no route":
			hint = "there is no way there: look at `ip route get ADDRESS` on both hosts"
		}
		if b.host == b.to {
			out = append(out, on(b.host, errorf(hint, "port %d/%s (%s) is not reached from %s: %s", b.n.Port.Port, b.n.Proto, b.n.what, brief(from[b]), b.why))...)
		} else {
			out = append(out, on(b.host, errorf(hint, "port %d/%s of %s (%s) is not reached: %s", b.n.Port.Port, b.n.Proto, b.to, b.n.what, b.why))...)
		}
	}
	return out
}

// brief names up to five hosts and counts the rest.
func brief(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// podMTU is what pods will be told, of the smallest interface in the fleet.
func podMTU(in Input) int {
	if in.Cluster.CNI.MTU > 0 {
		return in.Cluster.CNI.MTU
	}
	least := 0
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil {
			if a := node.FindAddress(h, f); a.Found && a.Interface.MTU > 0 && (least == 0 || a.Interface.MTU < least) {
				least = a.Interface.MTU
			}
		}
	}
	return least - overlay(in.Cluster)
}

func overlay(c *inventory.Cluster) int {
	if len(podPorts(c)) > 0 {
		return vxlanOverhead
	}
	return 0
}

// pathMTU finds ways that carry less than the interface says. Packets between
// pods are not told so by anybody: they vanish.
func pathMTU(in Input) []Finding {
	least := 0
	for _, p := range in.Paths {
		if p.PathMTU > 0 && (least == 0 || p.PathMTU < least) {
			least = p.PathMTU
		}
	}
	pods := podMTU(in) + overlay(in.Cluster)
	var out []Finding
	for _, p := range in.Paths {
		switch {
		case p.PathMTU == 0 || p.PathMTU >= p.MTU:
		case p.PathMTU < pods:
			out = append(out, on(p.From, errorf(fmt.Sprintf("put the MTU right on switches and interfaces, or write network.cni.mtu: %d", least-overlay(in.Cluster)),
				"packets to %s get through with at most %d bytes, the interface takes %d and the pod network would send %d: large ones vanish",
				p.To, p.PathMTU, p.MTU, pods))...)
		default:
			out = append(out, on(p.From, warnf("put the MTU right on switches and interfaces",
				"packets to %s get through with at most %d bytes, though the interface takes %d; those of pods fit", p.To, p.PathMTU, p.MTU))...)
		}
	}
	return out
}

// link compares the interfaces that nodes talk by with what most hosts have.
func link(in Input) []Finding {
	mtus, speeds := map[int]int{}, map[int]int{}
	each := func(do func(inventory.ResolvedHost, facts.Interface)) {
		for _, h := range in.Cluster.Hosts {
			if f := in.Facts[h.Name]; f != nil {
				if a := node.FindAddress(h, f); a.Found {
					do(h, a.Interface)
				}
			}
		}
	}
	each(func(_ inventory.ResolvedHost, i facts.Interface) {
		mtus[i.MTU]++
		if i.SpeedMbit > 0 {
			speeds[i.SpeedMbit]++
		}
	})
	usualMTU, usualSpeed := usual(mtus), usual(speeds)
	var out []Finding
	each(func(h inventory.ResolvedHost, i facts.Interface) {
		if i.MTU != usualMTU {
			out = append(out, on(h.Name, warnf("give all hosts the same MTU: the pod network takes the smallest of all",
				"%s has MTU %d, where most hosts have %d", i.Name, i.MTU, usualMTU))...)
		}
		if i.SpeedMbit > 0 && i.SpeedMbit < usualSpeed {
			out = append(out, on(h.Name, warnf("look at the cable, the port of the switch and `ethtool "+i.Name+"`",
				"%s runs at %d Mbit/s, where most hosts have %d", i.Name, i.SpeedMbit, usualSpeed))...)
		}
	})
	return out
}

// usual gives the most frequent value, of equals the largest.
func usual(counts map[int]int) int {
	best := 0
	for v, n := range counts {
		if best == 0 || cmp.Or(cmp.Compare(n, counts[best]), cmp.Compare(v, best)) > 0 {
			best = v
		}
	}
	return best
}

// route finds packets that leave with another address than the node's, that are
// translated on their way, or that come back another way than they went.
func route(in Input) []Finding {
	var out []Finding
	for _, p := range in.Paths {
		h, ok := in.Cluster.Host(p.From)
		f := in.Facts[p.From]
		if !ok || f == nil || p.Source == "" {
			continue
		}
		if ip := node.FindAddress(h, f).IP; p.Source != ip {
			out = append(out, on(p.From, warnf("write the address that the routes use as nodeIP, or put the routes right (`ip route get`)",
				"packets to %s leave with the address %s, and the node's is %s: answers may come back another way", p.To, p.Source, ip))...)
		}
		if p.SeenAs != "" && p.SeenAs != p.Source {
			out = append(out, on(p.From, warnf("take the translation of addresses (masquerade, SNAT) between the hosts away",
				"%s sees packets of the host come from %s instead of %s", p.To, p.SeenAs, p.Source))...)
		}
		if p.HopsThere >= 0 && p.HopsBack >= 0 && p.HopsThere != p.HopsBack {
			out = append(out, on(p.From, warnf("compare `ip route get` on both hosts: firewalls drop what they saw one half of",
				"packets pass %d routers to %s, and %d on their way back", p.HopsThere, p.To, p.HopsBack))...)
		}
	}
	return out
}

// roundTrip tells of hosts far from each other. It fails at etcd's heartbeat of
// 100 ms, and only between control planes.
func roundTrip(in Input) []Finding {
	worst := map[string]facts.Path{}
	for _, p := range in.Paths {
		if p.RoundTrip > worst[p.From].RoundTrip {
			worst[p.From] = p
		}
	}
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		p := worst[h.Name]
		warn, fail := in.limits("round-trip", h.Name)
		to, _ := in.Cluster.Host(p.To)
		const hint = "keep the hosts of a cluster in one site: etcd and the API wait for each packet"
		switch {
		case p.RoundTrip > fail.Seconds() && h.ControlPlane() && to.ControlPlane():
			out = append(out, on(h.Name, errorf(hint, "a packet to %s and back takes %s (the limit is %s)", p.To, seconds(p.RoundTrip), fail))...)
		case p.RoundTrip > warn.Seconds():
			out = append(out, on(h.Name, warnf(hint, "a packet to %s and back takes %s (the limit is %s)", p.To, seconds(p.RoundTrip), warn))...)
		}
	}
	return out
}

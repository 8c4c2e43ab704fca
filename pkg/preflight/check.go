package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// Check gives all findings, errors before warnings, then in the inventory's
// order of hosts, then in the order of the rules.
func Check(in Input) []Finding {
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil {
			continue
		}
		for _, r := range hostRules {
			for _, finding := range r.check(in, h, f) {
				finding.Rule, finding.Host = r.name, h.Name
				out = append(out, finding)
			}
		}
	}
	for _, r := range fleetRules {
		for _, finding := range r.check(in) {
			finding.Rule = r.name
			out = append(out, finding)
		}
	}
	place := map[string]int{"": len(in.Cluster.Hosts)}
	for i, h := range in.Cluster.Hosts {
		place[h.Name] = i
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(weight(a.Severity), weight(b.Severity)), cmp.Compare(place[a.Host], place[b.Host]))
	})
	return out
}

func weight(s Severity) int {
	if s == Error {
		return 0
	}
	return 1
}

// Rules names every rule in order, for documentation and tests.
func Rules() []string {
	var out []string
	for _, r := range hostRules {
		out = append(out, r.name)
	}
	for _, r := range fleetRules {
		out = append(out, r.name)
	}
	return out
}

// hostRule looks at one host. Its findings need not name rule and host.
type hostRule struct {
	name  string
	check func(Input, inventory.ResolvedHost, *facts.Host) []Finding
}

// fleetRule compares hosts. Its findings need not name the rule.
type fleetRule struct {
	name  string
	check func(Input) []Finding
}

var hostRules = []hostRule{
	{"architecture", architecture},
	{"systemd", systemd},
	{"kernel", kernel},
	{"cgroup-v1", cgroup},
	{"kmsg", kmsg},
	{"resources", resources},
	{"disk", disk},
	{"node-address", address},
	{"foreign-containerd", foreignContainerd},
	{"conflict", conflict},
	{"foreign-kubelet", foreignKubelet},
	{"stale-join", staleJoin},
	{"resolver", resolver},
}

var fleetRules = []fleetRule{
	{"clock", clock},
	{"machine-id", machineID},
}

func errorf(hint, format string, args ...any) []Finding {
	return []Finding{{Severity: Error, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func warnf(hint, format string, args ...any) []Finding {
	return []Finding{{Severity: Warning, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func bytesText(n uint64) string {
	const mib, gib = 1 << 20, 1 << 30
	if n >= 10*gib {
		return fmt.Sprintf("%d GiB", n/gib)
	}
	if n >= gib {
		return fmt.Sprintf("%.1f GiB", float64(n)/gib)
	}
	return fmt.Sprintf("%d MiB", n/mib)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

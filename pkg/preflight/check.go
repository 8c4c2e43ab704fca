package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"kforge.dev/kforge/pkg/inventory"
)

// Check gives the errors and warnings that the inventory does not waive, errors
// first, then in the inventory's order of hosts, then in the order of the rules.
func Check(in Input) []Finding {
	return slices.DeleteFunc(Examine(in).Findings, func(f Finding) bool { return f.Severity == Notice })
}

// Examine gives all that the rules find: what counts, and what the inventory
// waives.
func Examine(in Input) *Report {
	var all []Finding
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil {
			continue
		}
		for _, r := range catalogue {
			if r.host == nil {
				continue
			}
			for _, finding := range r.host(in, h, f) {
				finding.Rule, finding.Host = r.Name, h.Name
				all = append(all, finding)
			}
		}
	}
	for _, r := range catalogue {
		if r.fleet == nil {
			continue
		}
		for _, finding := range r.fleet(in) {
			finding.Rule = r.Name
			all = append(all, finding)
		}
	}
	place := map[string]int{"": len(in.Cluster.Hosts)}
	for i, h := range in.Cluster.Hosts {
		place[h.Name] = i
	}
	out := newReport(in)
	for _, f := range all {
		if tuned, waived := in.tune(f); waived {
			out.Waived = append(out.Waived, tuned)
		} else {
			out.Findings = append(out.Findings, tuned)
		}
	}
	order := func(a, b Finding) int {
		return cmp.Or(cmp.Compare(weight(a.Severity), weight(b.Severity)), cmp.Compare(place[a.Host], place[b.Host]))
	}
	slices.SortStableFunc(out.Findings, order)
	slices.SortStableFunc(out.Waived, order)
	out.count()
	return out
}

func weight(s Severity) int { return slices.Index([]Severity{Error, Warning, Notice}, s) }

// checkOf is how the inventory tunes a rule for a host, or for "" the cluster.
func checkOf(c *inventory.Cluster, rule, host string) inventory.Check {
	if h, ok := c.Host(host); ok {
		return h.Checks[rule]
	}
	return c.Checks[rule]
}

// tune gives a finding the severity that the inventory says. A notice stays
// one: it is not what a severity is set for.
func (in Input) tune(f Finding) (tuned Finding, waived bool) {
	c := checkOf(in.Cluster, f.Rule, f.Host)
	f.Reason = c.Reason
	switch {
	case c.Severity == "off":
		return f, true
	case f.Severity == Notice:
	case c.Severity == "warning":
		f.Severity = Warning
	case c.Severity == "error":
		f.Severity = Error
	}
	return f, false
}

// limits of a rule for a host: the inventory's, else the rule's own.
func (in Input) limits(rule, host string) (warn, fail time.Duration) {
	own, c := limits[rule], checkOf(in.Cluster, rule, host)
	return cmp.Or(time.Duration(c.Warn), own[0]), cmp.Or(time.Duration(c.Fail), own[1])
}

func errorf(hint, format string, args ...any) []Finding {
	return []Finding{{Severity: Error, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func warnf(hint, format string, args ...any) []Finding {
	return []Finding{{Severity: Warning, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

func noticef(hint, format string, args ...any) []Finding {
	return []Finding{{Severity: Notice, Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// on says of which host findings of a rule of the fleet are.
func on(host string, found []Finding) []Finding {
	for i := range found {
		found[i].Host = host
	}
	return found
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

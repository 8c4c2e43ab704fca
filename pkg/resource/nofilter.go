package resource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/resource/netlink"
	"kforge.dev/kforge/pkg/spec"
)

// iptablesTables are those that iptables works on, in its nftables form.
var iptablesTables = []string{"filter", "nat", "mangle", "raw", "security"}

type noFilterKind struct{ want *spec.NoFilter }

type noFilterState struct {
	tables []netlink.Table
	chains []netlink.Chain // of tables that stay
	rules  []netlink.Rule  // of other chains, that jump to ours
	shells []netlink.Table // hold nothing else
	legacy []legacyRules
}

func (k noFilterKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &noFilterState{}
	if err := k.look(s, st); err != nil {
		return nil, err
	}
	var err error
	st.legacy, err = k.legacy(ctx, s)
	return st, err
}

func (k noFilterKind) look(s *session, st *noFilterState) error {
	filter, err := s.Kernel.Filter()
	if err != nil || filter == nil {
		return err
	}
	defer filter.Close()
	tables, err := filter.Tables()
	if err != nil {
		// A kernel without nftables has none.
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) {
			return nil
		}
		return err
	}
	chains, err := filter.Chains()
	if err != nil {
		return err
	}
	rules, err := filter.Rules()
	if err != nil {
		return err
	}
	for _, t := range tables {
		if slices.Contains(k.want.Tables, t.String()) {
			st.tables = append(st.tables, t)
		}
	}
	for _, ch := range chains {
		if shared(ch.Table) && !ch.Base && k.names(ch.Name) {
			st.chains = append(st.chains, ch)
		}
	}
	for _, r := range rules {
		if !shared(r.Table) || st.has(r.Table, r.Chain) {
			continue
		}
		if slices.ContainsFunc(r.Jumps, func(to string) bool { return st.has(r.Table, to) }) {
			st.rules = append(st.rules, r)
		}
	}
	st.findShells(chains, rules)
	return nil
}

// shared tells of a table that iptables works on, for everybody.
func shared(t netlink.Table) bool {
	return (t.Family == "ip" || t.Family == "ip6") && slices.Contains(iptablesTables, t.Name)
}

func (k noFilterKind) names(chain string) bool {
	return slices.ContainsFunc(k.want.Chains, func(pattern string) bool {
		ok, err := filepath.Match(pattern, chain)
		return ok && err == nil
	})
}

func (st *noFilterState) has(t netlink.Table, chain string) bool {
	return slices.ContainsFunc(st.chains, func(ch netlink.Chain) bool { return ch.Table == t && ch.Name == chain })
}

// findShells finds tables in which nothing would be left but base chains that
// accept all and hold no rule: iptables made them for the chains that go.
func (st *noFilterState) findShells(chains []netlink.Chain, rules []netlink.Rule) {
	for _, ours := range st.chains {
		if slices.Contains(st.shells, ours.Table) {
			continue
		}
		other := slices.ContainsFunc(chains, func(ch netlink.Chain) bool {
			return ch.Table == ours.Table && !st.has(ch.Table, ch.Name) && (!ch.Base || !ch.Accepts)
		}) || slices.ContainsFunc(rules, func(r netlink.Rule) bool {
			return r.Table == ours.Table && !st.has(r.Table, r.Chain) &&
				!slices.ContainsFunc(st.rules, func(o netlink.Rule) bool { return o.Table == r.Table && o.Handle == r.Handle })
		})
		if !other {
			st.shells = append(st.shells, ours.Table)
		}
	}
}

func (st *noFilterState) diff(*session) ([]spec.Change, error) {
	var lines []string
	for _, t := range st.tables {
		lines = append(lines, "nftables table "+t.String())
	}
	byTable := map[netlink.Table][]string{}
	var order []netlink.Table
	for _, ch := range st.chains {
		if byTable[ch.Table] == nil {
			order = append(order, ch.Table)
		}
		byTable[ch.Table] = append(byTable[ch.Table], ch.Name)
	}
	for _, t := range order {
		jumps := 0
		for _, r := range st.rules {
			if r.Table == t {
				jumps++
			}
		}
		lines = append(lines, chainsOf(t.String(), byTable[t], jumps))
	}
	for _, l := range st.legacy {
		lines = append(lines, chainsOf(l.program+" "+l.table, l.chains, len(l.jumps)))
	}
	return removal("part", lines), nil
}

// chainsOf names chains; a cluster with services has thousands.
func chainsOf(table string, chains []string, jumps int) string {
	const named = 8
	list := strings.Join(chains[:min(named, len(chains))], " ")
	if more := len(chains) - named; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("chains of table %s: %s, and %d rules that jump to them", table, list, jumps)
}

func (st *noFilterState) apply(ctx context.Context, s *session) error {
	for _, l := range st.legacy {
		if err := l.remove(ctx, s); err != nil {
			return err
		}
	}
	if len(st.tables)+len(st.chains) == 0 {
		return nil
	}
	filter, err := s.Kernel.Filter()
	if err != nil {
		return err
	}
	defer filter.Close()
	var r netlink.Removal
	for _, t := range append(st.tables, st.shells...) {
		r.Table(t)
	}
	goes := func(t netlink.Table) bool { return slices.Contains(st.shells, t) }
	for _, rule := range st.rules {
		if !goes(rule.Table) {
			r.Rule(rule)
		}
	}
	for _, ch := range st.chains { // all are emptied first: they jump to each other
		if !goes(ch.Table) {
			r.Empty(ch)
		}
	}
	for _, ch := range st.chains {
		if !goes(ch.Table) {
			r.Chain(ch)
		}
	}
	return filter.Commit(&r)
}

package ui

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/spec"
)

// variants is up to how many forms of a change (an address in a file that
// differs from host to host) are shown one by one.
const variants = 3

// section is what one step does equally on some hosts.
type section struct {
	title   string
	hosts   []string
	changes []*shared
}

// shared is a change that several hosts have in common.
type shared struct {
	title  string
	change spec.Change
	hosts  []string
	like   string // when the hosts differ: the one whose change is shown
}

// sections groups items by step and equal change, then puts together what the
// same hosts share. Steps, and the sections of a step, are in order of first
// appearance. Unless verbose, a change that takes many forms is shown by its
// first.
func sections(items []PlanItem, verbose bool) []*section {
	var titles []string
	byTitle := make(map[string][]*section)
	byHosts := make(map[string]*section)
	for _, s := range share(items, verbose) {
		key := s.title + "\x00" + strings.Join(s.hosts, "\x00")
		sec := byHosts[key]
		if sec == nil {
			sec = &section{title: s.title, hosts: s.hosts}
			byHosts[key] = sec
			if byTitle[s.title] == nil {
				titles = append(titles, s.title)
			}
			byTitle[s.title] = append(byTitle[s.title], sec)
		}
		sec.changes = append(sec.changes, s)
	}
	var out []*section
	for _, t := range titles {
		out = append(out, byTitle[t]...)
	}
	return out
}

func share(items []PlanItem, verbose bool) []*shared {
	var all []*shared
	byForm := make(map[string]*shared)
	forms := make(map[string][]*shared) // by what is changed, whatever the form
	for _, i := range items {
		raw, _ := json.Marshal(i.Change) // plain strings: cannot fail
		key := fmt.Sprintf("%s\x00%t\x00%s", i.Title, i.Host == "", raw)
		s := byForm[key]
		if s == nil {
			s = &shared{title: i.Title, change: i.Change}
			byForm[key] = s
			all = append(all, s)
			what := strings.Join([]string{i.Title, string(i.Change.Action), i.Change.Resource}, "\x00")
			forms[what] = append(forms[what], s)
		}
		if !slices.Contains(s.hosts[max(0, len(s.hosts)-1):], i.Host) {
			s.hosts = append(s.hosts, i.Host)
		}
	}
	gone := make(map[*shared]bool)
	for _, f := range forms {
		if verbose || len(f) <= variants {
			continue
		}
		f[0].like = f[0].hosts[0]
		for _, other := range f[1:] {
			f[0].hosts = append(f[0].hosts, other.hosts...)
			gone[other] = true
		}
	}
	return slices.DeleteFunc(all, func(s *shared) bool { return gone[s] })
}

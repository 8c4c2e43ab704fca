package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/e2e/lab/artifact"
)

// report is all that the page tells.
type report struct {
	Date     string
	Kforge   string // version
	Machine  machine
	Versions artifact.Versions
	Figures  []figure
	Pairs    []pair
}

// page writes docs/performance.md.
func page(r report) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Performance

Written by `+"`make bench`"+` on %s, not by hand. The lab's three hosts, the mirror
and kforge shared one machine: %s, %d cores, %.0f GB of memory,
Linux %s.

`, r.Date, cmp.Or(r.Machine.CPU, "unknown CPU"), r.Machine.Cores, float64(r.Machine.Memory)/1e9, r.Machine.Kernel)

	figureTable(&b, r.Figures)
	fmt.Fprintf(&b, `
Versions: kforge %s, Kubernetes %s, etcd %s, CoreDNS %s, containerd %s,
runc %s, CNI plug-ins %s, flannel %s.

## How to read them

The floor, %s, is the shortest parallel shell script that makes
the same cluster of the same bare hosts, from the same mirror, over the same SSH:
one control plane, two workers, flannel. It checks nothing, survives nothing and
knows the site by heart, so its time is about what the work itself takes. A ratio
of 1 would mean that planning, observing, verifying digests and being able to run
again cost nothing.

- Both sides begin with hosts that are bare and have booted, and end with three
  Ready nodes, flannel's pods on all of them and both pods of CoreDNS. Neither
  downloads: what the mirror gives is in both caches before.
- They are measured in turn, a floor and an apply making a pair, so that a
  machine that slows down slows both. Ratios are taken pair by pair. Times and
  ratios are the median of the pairs; counts and memory the largest that was seen.
- The second apply follows the first at once. Connections and sessions are counted
  in the logs of the hosts' sshd.
- A goal is an upper bound. SHORT means that it is not reached.
- On a machine with few cores the hosts contend for them and for one disk:
  compare ratios between machines, not seconds.

## Pairs

Idle is the share of the machine's CPU time that nobody used meanwhile. Both sides
wait for some seconds for what takes no CPU, so where it is near 0 %% something else
was running on the machine, and the times tell of that as much as of the two sides.

| pair | floor s | apply s | ratio | floor Ready s | apply Ready s | ratio | second apply s | floor idle | apply idle |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`, r.Kforge, r.Versions.Kubernetes, r.Versions.Etcd, r.Versions.CoreDNS, r.Versions.Containerd,
		r.Versions.Runc, r.Versions.CNI, r.Versions.Flannel, "`e2e/floor/floor.sh`")
	for i, p := range r.Pairs {
		fmt.Fprintf(&b, "| %d | %.1f | %.1f | %.3f | %.1f | %.1f | %.3f | %.2f | %.0f %% | %.0f %% |\n", i+1,
			p.Floor.Total, p.Apply.Total, p.applyRatio(), p.Floor.Ready, p.Apply.Ready, p.readyRatio(), p.Second.Seconds, 100*p.Floor.Idle, 100*p.Apply.Idle)
	}
	if i := typical(r.Pairs); i >= 0 {
		fmt.Fprintf(&b, `
## Phases

Of pair %d, in seconds since the start. The floor's lines follow the first host;
the others do their work meanwhile. kforge's phases overlap, since each host goes
at its own pace: a phase lasts from its first step on any host to the last.

`, i+1)
		phaseTable(&b, "floor", r.Pairs[i].Floor.Phases)
		b.WriteByte('\n')
		phaseTable(&b, "kforge", r.Pairs[i].Apply.Phases)
	}
	return b.String()
}

func figureTable(b *strings.Builder, figures []figure) {
	b.WriteString("| figure | value | unit | goal | verdict | what it is |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range figures {
		goal, verdict := strings.Replace(f.goal(), "<=", "≤ ", 1), f.verdict()
		if f.Goal == nil {
			goal, verdict = "–", "–"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", f.Name, f.value(), f.Unit, goal, verdict, f.Meaning)
	}
}

func phaseTable(b *strings.Builder, side string, phases []span) {
	fmt.Fprintf(b, "| %s | from | to | takes |\n| --- | --- | --- | --- |\n", side)
	for _, s := range phases {
		fmt.Fprintf(b, "| %s | %.1f | %.1f | %.1f |\n", s.Name, s.From, s.To, s.To-s.From)
	}
}

// typical is the index of the pair with the median ratio, the lower one of two;
// -1 of none. Phases of one run add up, medians of phases would not.
func typical(pairs []pair) int {
	if len(pairs) == 0 {
		return -1
	}
	order := make([]int, len(pairs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(pairs[a].applyRatio(), pairs[b].applyRatio()) })
	return order[(len(order)-1)/2]
}

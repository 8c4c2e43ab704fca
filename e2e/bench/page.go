package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/e2e/fleet/speed"
)

// report is all that the page tells: the parts that were measured.
type report struct {
	Lab   *labPart
	Fleet *fleetPart
}

// page writes docs/performance.md.
func page(r report) string {
	var b strings.Builder
	b.WriteString(`# Performance

Written by ` + "`make bench`" + `, not by hand. It has two parts, which may be of different
days: [the lab](#the-lab), real hosts that become a cluster, and
[the fleet](#the-fleet), hundreds of hosts in one process. SHORT means that a goal
is not reached. Times are medians of some runs, counts and memory the worst that
was seen. On a machine with few cores the hosts contend with kforge for them:
compare ratios between machines, not seconds.
`)
	if r.Lab != nil {
		r.Lab.page(&b)
	}
	if r.Fleet != nil {
		r.Fleet.page(&b)
	}
	return b.String()
}

func (d description) text() string {
	return fmt.Sprintf("%s, %d cores, %.0f GB of memory, Linux %s", cmp.Or(d.Machine.CPU, "unknown CPU"), d.Machine.Cores, float64(d.Machine.Memory)/1e9, d.Machine.Kernel)
}

func (l labPart) page(b *strings.Builder) {
	fmt.Fprintf(b, `
## The lab

On %s. The lab's three hosts, the mirror and kforge shared one machine:
%s.

`, l.Date, l.text())
	figureTable(b, l.figures())
	fmt.Fprintf(b, `
Versions: kforge %s, Kubernetes %s, etcd %s, CoreDNS %s, containerd %s,
runc %s, CNI plug-ins %s, flannel %s.

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
  machine that slows down slows both. Ratios are taken pair by pair.
- The second apply follows the first at once. Connections and sessions are counted
  in the logs of the hosts' sshd.

### Pairs

Idle is the share of the machine's CPU time that nobody used meanwhile. Both sides
wait for some seconds for what takes no CPU, so where it is near 0 %% something else
was running on the machine, and the times tell of that as much as of the two sides.

| pair | floor s | apply s | ratio | floor Ready s | apply Ready s | ratio | second apply s | floor idle | apply idle |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`, l.Kforge, l.Versions.Kubernetes, l.Versions.Etcd, l.Versions.CoreDNS, l.Versions.Containerd,
		l.Versions.Runc, l.Versions.CNI, l.Versions.Flannel, "`e2e/floor/floor.sh`")
	for i, p := range l.Pairs {
		fmt.Fprintf(b, "| %d | %.1f | %.1f | %.3f | %.1f | %.1f | %.3f | %.2f | %.0f %% | %.0f %% |\n", i+1,
			p.Floor.Total, p.Apply.Total, p.applyRatio(), p.Floor.Ready, p.Apply.Ready, p.readyRatio(), p.Second.Seconds, 100*p.Floor.Idle, 100*p.Apply.Idle)
	}
	if i := typical(l.Pairs); i >= 0 {
		fmt.Fprintf(b, `
### Phases

Of pair %d, in seconds since the start. The floor's lines follow the first host;
the others do their work meanwhile. kforge's phases overlap, since each host goes
at its own pace: a phase lasts from its first step on any host to the last.

`, i+1)
		phaseTable(b, "floor", l.Pairs[i].Floor.Phases)
		b.WriteByte('\n')
		phaseTable(b, "kforge", l.Pairs[i].Apply.Phases)
	}
	if l.measuredAdd() {
		l.addPage(b)
	}
}

func (p fleetPart) page(b *strings.Builder) {
	fmt.Fprintf(b, `
## The fleet

On %s, with kforge %s. The hosts and kforge shared two cores
of one machine: %s.

`, p.Date, p.Kforge, p.text())
	figureTable(b, p.figures())
	fmt.Fprintf(b, `
The hosts are SSH servers in one process, in which the real agent works on a
folder for each host (`+"`e2e/fleet`"+`). Whatever is sent to a host comes %s later: that is
the round trip. kforge is a process of its own, as it is built for users; of the
hosts' process nothing is in its CPU time and memory, but they share the cores.
The hosts have a network of their own, so that they really listen, dial each other
and ask a name server. They have their agent already: uploads are not measured.
`, speed.RoundTrip)
	if p.Ansible != "" {
		fmt.Fprintf(b, `
Ansible is Debian's %s. Its book, `+"`e2e/fleet/speed/testdata/check.yml`"+`, reads the
same facts and asserts the same, rule by rule, as far as Ansible can; it does not
measure the ways between the hosts, which kforge does, and not the disk of etcd.
On the fleet its modules run as processes of this machine, on the same two cores;
on real hosts each has its own. How much of its time that is can be seen below.
Both sides are measured in turn on the same hosts, each time with new connections.
`, p.Ansible)
	} else {
		b.WriteString("\nAnsible was not there, and so there is no comparison with it.\n")
	}
	b.WriteString(`
### Runs

CPU is that of the program, hosts that of the hosts, and others that of all else
on the machine meanwhile: where it is not near 0, the times tell of that too.
Memory is not measured where it is less than this program itself has.

| command | hosts | seconds | CPU s | hosts s | others s | peak MB | connections | sessions |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`)
	for _, r := range slices.Concat(p.Runs, p.Turns) {
		p.row(b, r.Command, r)
	}
	for _, r := range p.Beside {
		p.row(b, "check, one host slow", r)
	}
}

func (fleetPart) row(b *strings.Builder, command string, r speed.Run) {
	peak, connections, sessions := "–", "–", "–"
	if r.Peak > 0 && r.Command != "ansible" {
		peak = fmt.Sprintf("%.1f", float64(r.Peak)/mb)
	}
	if r.Connections > 0 {
		connections, sessions = fmt.Sprint(r.Connections), fmt.Sprint(r.Sessions)
	}
	fmt.Fprintf(b, "| %s | %d | %.2f | %.2f | %.2f | %.2f | %s | %s | %s |\n", command, r.Hosts, r.Wall, r.CPU, r.HostsCPU, r.Others, peak, connections, sessions)
}

func figureTable(b *strings.Builder, figures []figure) {
	b.WriteString("| figure | value | unit | goal | verdict | what it is |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range figures {
		goal, verdict := strings.NewReplacer("<=", "≤ ", ">=", "≥ ").Replace(f.goal()), f.verdict()
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

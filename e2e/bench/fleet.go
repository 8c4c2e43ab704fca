package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"kforge.dev/kforge/e2e/fleet/speed"
	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/e2e/lab/setup"
)

// Sizes of fleets.
const (
	hundred  = 100
	thousand = 1000
	compared = 30 // with Ansible
)

// slowAnswer is how long the slow host takes for each answer.
const slowAnswer = 2 * time.Second

// fleetPart is what was measured on the fleet.
type fleetPart struct {
	description
	// Ansible is its version, "" when it could not be had.
	Ansible string
	Runs    []speed.Run
	// Beside are checks with one slow host.
	Beside []speed.Run
	// Turns are kforge and Ansible in turn on one fleet.
	Turns []speed.Run
}

func measureFleet(ctx context.Context, o options, stdout io.Writer) error {
	part := fleetPart{description: o.description}
	each := func(r speed.Run) {
		fmt.Fprintf(o.stderr, "%s of %d hosts: %.2f s, CPU %.2f s and %.2f s of the hosts, %.2f s of all else, %.1f MB\n",
			r.Command, r.Hosts, r.Wall, r.CPU, r.HostsCPU, r.Others, float64(r.Peak)/mb)
	}
	for _, c := range []speed.Config{
		{Command: "check", Hosts: hundred}, {Command: "check", Hosts: thousand},
		{Command: "plan", Hosts: hundred}, {Command: "plan", Hosts: thousand},
	} {
		c.Kforge, c.Runs, c.Each = o.kforge.bin, o.fleetRuns, each
		runs, err := speed.Measure(ctx, c)
		if err != nil {
			return fmt.Errorf("measure %s of %d hosts: %w", c.Command, c.Hosts, err)
		}
		part.Runs = append(part.Runs, runs...)
	}
	var err error
	c := speed.Config{Kforge: o.kforge.bin, Command: "check", Hosts: hundred, Runs: o.fleetRuns, Slow: slowAnswer, Each: each}
	if part.Beside, err = speed.Measure(ctx, c); err != nil {
		return fmt.Errorf("measure beside a slow host: %w", err)
	}
	if part.Ansible, err = ansible(ctx, o.stderr); err != nil {
		// Without it there is no ratio, and the page says so.
		fmt.Fprintf(o.stderr, "no comparison with Ansible: %v\n", err)
	} else {
		c := speed.Config{Kforge: o.kforge.bin, Hosts: compared, Runs: o.fleetRuns, Each: each}
		ours, theirs, err := speed.Compare(ctx, c)
		if err != nil {
			return err
		}
		part.Turns = append(ours, theirs...)
	}
	return finish(o, stdout, "fleet", part, part.figures())
}

// ansible installs Debian's when there is none, and gives its version.
func ansible(ctx context.Context, log io.Writer) (string, error) {
	if err := setup.Ansible(ctx, log); err != nil {
		return "", err
	}
	program, err := exec.LookPath("ansible-playbook")
	if err != nil {
		return "", err
	}
	out, err := proc.Output(ctx, program, "--version")
	line, _, _ := strings.Cut(out, "\n")
	return strings.NewReplacer("ansible-playbook [", "", "]", "").Replace(line), err
}

// of picks runs.
func of(runs []speed.Run, command string, hosts int) []speed.Run {
	var out []speed.Run
	for _, r := range runs {
		if r.Command == command && r.Hosts == hosts {
			out = append(out, r)
		}
	}
	return out
}

func wall(r speed.Run) float64 { return r.Wall }

func peakMB(r speed.Run) float64 { return float64(r.Peak) / mb }

// figures of the fleet: times are medians, counts and memory the worst that was
// seen.
func (p fleetPart) figures() []figure {
	checks := append(of(p.Runs, "check", hundred), of(p.Runs, "check", thousand)...)
	small, large := of(p.Runs, "check", hundred), of(p.Runs, "check", thousand)
	list := []figure{
		{Name: "check-100-seconds", Value: median(small, wall), Unit: "s", Decimals: 2, Goal: goal(3),
			Meaning: "`kforge check` of 100 hosts, from its start to its exit"},
		{Name: "check-1000-seconds", Value: median(large, wall), Unit: "s", Decimals: 2, Goal: goal(25),
			Meaning: "the same of 1,000 hosts"},
		{Name: "check-growth", Value: median(large, wall) / median(small, wall), Unit: "x", Decimals: 2, Goal: goal(thousand / hundred),
			Meaning: "how much longer 1,000 hosts take than 100"},
		{Name: "check-1000-cpu-seconds", Value: median(large, func(r speed.Run) float64 { return r.CPU }), Unit: "s", Decimals: 2,
			Meaning: "CPU time of kforge in it; the hosts' own comes on top"},
		{Name: "check-1000-peak-memory", Value: worst(large, peakMB), Unit: "MB", Decimals: 1, Goal: goal(250),
			Meaning: "peak resident memory of kforge in it"},
		{Name: "check-connections-per-host", Value: worst(checks, func(r speed.Run) float64 { return float64(r.Connections) }), Unit: "connections", Goal: goal(1),
			Meaning: "that the busiest host saw in one check"},
		{Name: "check-sessions-per-host", Value: worst(checks, func(r speed.Run) float64 { return float64(r.Sessions) }), Unit: "sessions", Goal: goal(3),
			Meaning: "that the busiest host saw in one check"},
		{Name: "check-100-beside-slow-host-seconds", Value: worst(p.Beside, func(r speed.Run) float64 { return r.Elsewhere }), Unit: "s", Decimals: 2, Goal: goal(3),
			Meaning: "with one host that takes 2 s for every answer: until the hosts that do not measure the way to it were asked for the last time"},
		{Name: "plan-100-seconds", Value: median(of(p.Runs, "plan", hundred), wall), Unit: "s", Decimals: 2,
			Meaning: "`kforge plan` of 100 bare hosts, artifacts cached"},
		{Name: "plan-1000-seconds", Value: median(of(p.Runs, "plan", thousand), wall), Unit: "s", Decimals: 2,
			Meaning: "the same of 1,000 hosts"},
		{Name: "plan-1000-peak-memory", Value: worst(of(p.Runs, "plan", thousand), peakMB), Unit: "MB", Decimals: 1, Goal: goal(250),
			Meaning: "peak resident memory of kforge in it"},
	}
	theirs := of(p.Turns, "ansible", compared)
	if len(theirs) == 0 {
		return list
	}
	ours := of(p.Turns, "check", compared)
	return append(list,
		figure{Name: "check-30-seconds", Value: median(ours, wall), Unit: "s", Decimals: 2, Meaning: "`kforge check` of 30 hosts"},
		figure{Name: "ansible-30-seconds", Value: median(theirs, wall), Unit: "s", Decimals: 2,
			Meaning: "Ansible's likeness of it on the same hosts, with 50 forks and pipelining"},
		figure{Name: "ansible-ratio", Value: median(theirs, wall) / median(ours, wall), Unit: "x", Decimals: 1, Goal: goal(20), AtLeast: true,
			Meaning: "ansible-30-seconds over check-30-seconds"},
	)
}

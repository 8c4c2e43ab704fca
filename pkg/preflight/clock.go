package preflight

import (
	"math"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

const (
	clockError   = 500 * time.Millisecond
	clockWarning = 50 * time.Millisecond
)

// clock compares each host's clock with the median of all, so that the admin's
// own clock does not matter. Half the round trip is the bound of what was
// measured: only what goes beyond it counts.
func clock(in Input) []Finding {
	var names []string
	var offsets []float64
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil {
			names = append(names, h.Name)
			offsets = append(offsets, f.Time.OffsetSeconds)
		}
	}
	if len(names) < 2 {
		return nil
	}
	middle := median(offsets)
	var out []Finding
	for _, name := range names {
		t := in.Facts[name].Time
		warn, limit := in.limits("clock", name)
		if in.MaxClockOffset != 0 {
			limit = in.MaxClockOffset
		}
		off := t.OffsetSeconds - middle
		sure := math.Abs(off) - t.RoundTripSeconds/2
		daemon := "no time daemon was found"
		switch {
		case t.DaemonActive:
			daemon = t.Daemon + " runs"
		case t.Daemon != "":
			daemon = t.Daemon + " is there and does not run"
		}
		switch {
		case sure > limit.Seconds():
			out = append(out, on(name, errorf("set the clock and keep it: `systemctl enable --now chrony`, then `chronyc makestep`",
				"the clock is %s off the median of the hosts (%s; the limit is %s)", seconds(off), daemon, limit))...)
		case sure > warn.Seconds():
			out = append(out, on(name, warnf("see that a time daemon runs: `systemctl enable --now chrony`",
				"the clock is %s off the median of the hosts (%s; the limit is %s)", seconds(off), daemon, warn))...)
		}
	}
	return out
}

// median of an even number is the lower middle: with two hosts one of them is
// right, and which of both is named does not matter.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// timeSync asks the kernel and looks for who tells it. A container has the clock
// of its machine, and nothing to keep it by.
func timeSync(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	const start = "start one: `apt-get install chrony` or `dnf install chrony`, then `systemctl enable --now chrony`"
	t := f.Time
	switch {
	case contained(f) && !t.Synced:
		return noticef("look at the time daemon of the machine that the container runs on", "the kernel does not call its clock synchronised; it is that of the machine below")
	case contained(f):
	case t.Daemon == "":
		return warnf(start, "no time daemon was found: the clock will drift")
	case !t.DaemonActive:
		return warnf("start it: `systemctl enable --now "+t.Daemon+"`", "%s does not run: the clock will drift", t.Daemon)
	case !t.Synced:
		return warnf("look at its servers: `chronyc sources` or `timedatectl timesync-status`",
			"the kernel does not call its clock synchronised, though %s runs (largest error %s)", t.Daemon, time.Duration(t.MaxErrorMicros)*time.Microsecond)
	}
	return nil
}

// timeAnswers is about the inventory's servers, whoever asks them now.
func timeAnswers(in Input, h inventory.ResolvedHost, _ *facts.Host) []Finding {
	var mute, lost []string
	for _, a := range in.NTP[h.Name] {
		switch {
		case a.Error != "":
			mute = append(mute, a.Server+" ("+a.Error+")")
		case a.Stratum < 1 || a.Stratum > 15:
			lost = append(lost, a.Server)
		}
	}
	var out []Finding
	if len(mute) > 0 {
		out = append(out, warnf("let UDP port 123 through to them, or name others in time.servers", "time servers of the inventory do not answer: %s", strings.Join(mute, ", "))...)
	}
	if len(lost) > 0 {
		out = append(out, warnf("put them right, or name others in time.servers", "time servers of the inventory do not know the time themselves: %s", strings.Join(lost, ", "))...)
	}
	return out
}

// timeSources needs a daemon that tells: what is only configured is no finding.
// Nor is what a daemon in a container hears: the clock is not its to keep.
func timeSources(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if contained(f) {
		return nil
	}
	var lost, liars []string
	good := false
	for _, s := range f.Time.Sources {
		switch s.State {
		case "unreachable":
			lost = append(lost, s.Name)
		case "falseticker":
			liars = append(liars, s.Name)
		default:
			good = true
		}
	}
	var out []Finding
	if len(lost) > 0 && !good {
		out = append(out, warnf("let UDP port 123 out of the host, or name servers that it reaches in the settings of "+f.Time.Daemon,
			"no time server answers: %s", strings.Join(lost, ", "))...)
	} else if len(lost) > 0 {
		out = append(out, noticef("name another server in the settings of "+f.Time.Daemon, "time servers that do not answer: %s", strings.Join(lost, ", "))...)
	}
	if len(liars) > 0 {
		out = append(out, warnf("take them out of the settings of "+f.Time.Daemon, "time servers that contradict the others: %s", strings.Join(liars, ", "))...)
	}
	return out
}

// certificateClock finds hosts whose clock is before the day on which the newest
// certificate becomes valid: they would refuse it.
func certificateClock(in Input) []Finding {
	var newest facts.Certificate
	holder := ""
	for _, h := range in.Cluster.Hosts {
		for _, c := range in.Certificates[h.Name] {
			if c.NotBefore > newest.NotBefore {
				newest, holder = c, h.Name
			}
		}
	}
	if holder == "" {
		return nil
	}
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil && f.Time.Unix > 0 && f.Time.Unix < newest.NotBefore {
			out = append(out, on(h.Name, errorf("set the clock and keep it: `systemctl enable --now chrony`, then `chronyc makestep`",
				"the clock is %s before %s of %s becomes valid", seconds(newest.NotBefore-f.Time.Unix), newest.Path, holder))...)
		}
	}
	return out
}

package preflight

import (
	"math"
	"slices"
	"strings"
	"time"
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
	limit := in.MaxClockOffset
	if limit == 0 {
		limit = clockError
	}
	var out []Finding
	for _, name := range names {
		t := in.Facts[name].Time
		off := t.OffsetSeconds - middle
		sure := math.Abs(off) - t.RoundTripSeconds/2
		daemon := "no time daemon was found"
		switch {
		case t.DaemonActive:
			daemon = t.Daemon + " runs"
		case t.Daemon != "":
			daemon = t.Daemon + " is there and does not run"
		}
		var found []Finding
		switch {
		case sure > limit.Seconds():
			found = errorf("set the clock and keep it: `systemctl enable --now chrony`, then `chronyc makestep`",
				"the clock is %s off the median of the hosts (%s)", seconds(off), daemon)
		case sure > clockWarning.Seconds():
			found = warnf("see that a time daemon runs: `systemctl enable --now chrony`",
				"the clock is %s off the median of the hosts (%s)", seconds(off), daemon)
		}
		for _, f := range found {
			f.Host = name
			out = append(out, f)
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

func machineID(in Input) []Finding {
	holders := map[string][]string{}
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil && f.MachineID != "" {
			holders[f.MachineID] = append(holders[f.MachineID], h.Name)
		}
	}
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil || len(holders[f.MachineID]) < 2 || holders[f.MachineID][0] != h.Name {
			continue
		}
		out = append(out, warnf("on all but one: `rm /etc/machine-id && systemd-machine-id-setup`, then reboot",
			"%s have the same machine-id %s: they were copied from one image, and DHCP and journals may mix them up",
			strings.Join(holders[f.MachineID], ", "), f.MachineID)...)
	}
	return out
}

package brief

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// group tells of disks that are alike in one line: a data node has two dozen.
func group(disks []facts.Disk) []string {
	var order []string
	names := map[string][]string{}
	for _, d := range disks {
		if d.Kind == "loop" || d.Kind == "lvm" || d.Kind == "crypt" {
			continue // what they lie on is told
		}
		text := list(Bytes(d.Size), strings.TrimSpace(d.Vendor+" "+d.Model), turning(d), d.Level, use(d), with("not read: ", d.Unread))
		if names[text] == nil {
			order = append(order, text)
		}
		names[text] = append(names[text], d.Name)
	}
	var out []string
	for _, text := range order {
		n := names[text]
		label := strings.Join(n, " ")
		if len(n) > 3 {
			label = fmt.Sprintf("%d disks, %s to %s", len(n), n[0], n[len(n)-1])
		}
		out = append(out, label+": "+text)
	}
	return out
}

func turning(d facts.Disk) string {
	switch {
	case d.Kind != "disk":
		return d.Kind
	case d.Rotational:
		return strings.TrimSpace(d.Transport + " HDD")
	}
	return strings.TrimSpace(d.Transport + " SSD")
}

// use tells what lies on a disk, mount points left out where disks should look
// alike.
func use(d facts.Disk) string {
	var kinds []string
	add := func(list []facts.Signature) {
		for _, s := range list {
			if !slices.Contains(kinds, s.Type) {
				kinds = append(kinds, s.Type)
			}
		}
	}
	add(d.Signatures)
	for _, p := range d.Partitions {
		add(p.Signatures)
	}
	parts := ""
	if n := len(d.Partitions); n > 0 {
		parts = strings.TrimSpace(d.Table + " " + count(n, "partition"))
	}
	switch {
	case len(kinds) == 0 && parts == "" && len(d.Holders) == 0 && len(d.Mounts) == 0 && d.Unread == "":
		return "empty"
	case len(kinds) > 0:
		return list(parts, strings.Join(kinds, " "))
	}
	return parts
}

func cards(h *facts.Host) []string {
	if len(h.GPUs) == 0 {
		return nil
	}
	var order []string
	n := map[string]int{}
	for _, g := range h.GPUs {
		text := cmp.Or(g.Model, "PCI "+g.Vendor+":"+g.Device) + ", " + cmp.Or(with("driver ", g.Driver), "no driver")
		if n[text] == 0 {
			order = append(order, text)
		}
		n[text]++
	}
	var out []string
	for _, text := range order {
		out = append(out, fmt.Sprintf("%d x %s", n[text], text))
	}
	v := h.NVIDIA
	state := ""
	if v.Version != "" {
		state = strings.TrimSpace("NVIDIA "+v.Version+" "+v.Flavour) + map[bool]string{false: " (not loaded)"}[v.Loaded]
	}
	fabric := ""
	if len(h.NVSwitches) > 0 {
		fabric = count(len(h.NVSwitches), "NVSwitch") + map[bool]string{true: " with fabric manager", false: " without fabric manager"}[v.FabricManager]
		fabric = strings.Replace(fabric, "NVSwitchs", "NVSwitches", 1)
	}
	nouveau := ""
	if v.Nouveau {
		nouveau = "nouveau is loaded"
	}
	if text := list(state, fabric, nouveau); text != "" {
		out = append(out, text)
	}
	return out
}

func nic(i facts.Interface, def string) string {
	speed := ""
	if i.SpeedMbit > 0 {
		speed = fmt.Sprintf("%d Mbit/s", i.SpeedMbit)
		if i.SpeedMbit%1000 == 0 {
			speed = fmt.Sprintf("%d Gbit/s", i.SpeedMbit/1000)
		}
	}
	route := ""
	if i.Name == def {
		route = "default route"
	}
	return list(i.Name, i.Driver, speed, fmt.Sprintf("MTU %d", i.MTU), strings.Join(i.Addresses, " "), with("in ", i.Master), route)
}

// dns names each server and how it fared: the best of its answers, else why
// there was none.
func dns(r facts.Resolver) string {
	var parts []string
	for _, s := range append(slices.Clone(r.Servers), r.Upstreams...) {
		state, fault, best := "", "", 0.0
		for _, a := range r.Answers {
			switch {
			case a.Server != s:
			case a.Error != "":
				fault = a.Error
			case a.Code != "NOERROR" && a.Code != "NXDOMAIN":
				fault = cmp.Or(fault, a.Code) // it answers, and knows nothing
			case best == 0 || a.Millis < best:
				best = a.Millis
			}
		}
		switch {
		case best > 0:
			state = fmt.Sprintf(" (%.1f ms)", best)
		case fault != "":
			state = " (" + fault + ")"
		}
		if !slices.Contains(parts, s+state) {
			parts = append(parts, s+state)
		}
	}
	return list(strings.Join(parts, ", "), with("by ", r.Stub), with("search ", strings.Join(r.Search, " ")))
}

func clock(t facts.Time) string {
	sync := "not synchronised"
	if t.Synced {
		sync = fmt.Sprintf("synchronised within %.3g ms", float64(t.MaxErrorMicros)/1000)
	}
	daemon := cmp.Or(t.Daemon, "no time daemon")
	if t.Daemon != "" && !t.DaemonActive {
		daemon += " (not running)"
	}
	var sources []string
	for _, s := range t.Sources {
		if s.State != "configured" && len(sources) < 4 {
			sources = append(sources, s.Name+" "+s.State)
		}
	}
	off := ""
	if t.OffsetSeconds > 0.1 || t.OffsetSeconds < -0.1 {
		off = fmt.Sprintf("%+.1f s from this machine", t.OffsetSeconds)
	}
	return list(sync, off, daemon, strings.Join(sources, ", "))
}

func firewall(f facts.Firewall) string {
	drop := ""
	if f.InputDrop {
		drop = "input is dropped by default"
	}
	return list(strings.Join(f.Managers, ", "), count(len(f.Tables), "table"), drop)
}

func software(h *facts.Host) string {
	state := func(name, version string, active bool) string {
		if version == "" {
			return ""
		}
		return name + " " + version + map[bool]string{true: " (runs)"}[active]
	}
	parts := []string{state("containerd", h.Containerd.Version, h.Containerd.Active), state("kubelet", h.Kubernetes.KubeletVersion, h.Kubernetes.KubeletActive)}
	for _, c := range h.Conflicts {
		parts = append(parts, c.Name)
	}
	return list(parts...)
}

package preflight

import (
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// reach tells of hosts that gave no facts: the link, the login or sudo.
func reach(in Input) []Finding {
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		err := in.Unreachable[h.Name]
		if err == nil {
			continue
		}
		hint := diag.Hint(err)
		if hint == "" {
			hint = "try it by hand: ssh " + h.Address
		}
		e := *diag.From(err)
		e.Host = "" // the finding says it
		out = append(out, on(h.Name, errorf(hint, "not reached: %v", &e))...)
	}
	return out
}

// hosts that are containers share clock and firmware with their machine.
func contained(f *facts.Host) bool { return f.OS.Container != "" }

func joined(f *facts.Host) bool { return f.Kubernetes.KubeletConf || f.Kubernetes.AdminConf }

// portHeld finds somebody else on a port of ours, before the host has joined.
func portHeld(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	if joined(f) || len(f.Kubernetes.Interrupted) > 0 {
		return nil
	}
	var out []Finding
	for _, p := range listensOn(in.Cluster, h) {
		for _, l := range f.Listening {
			// Somebody else's check measures here, and is gone soon.
			if l.Proto != p.Proto || l.Port != p.Port.Port || strings.HasPrefix(l.Process, "kforge-agent") {
				continue
			}
			who := l.Process
			if who == "" {
				who = "somebody"
			}
			out = append(out, errorf("stop it, or let it listen elsewhere: ss -lpn 'sport = :"+fmt.Sprint(l.Port)+"'",
				"%s listens on %s port %d, which %s needs", who, strings.ToUpper(l.Proto), l.Port, p.what)...)
			break
		}
	}
	return out
}

func swap(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	var used, size uint64
	var names []string
	for _, a := range f.Swap.Active {
		used, size = used+a.Used, size+a.Size
		name := a.Path
		if a.Kind != "" {
			name += " (" + a.Kind + ")"
		}
		names = append(names, name)
	}
	const stays = "write `swapOff: true` for the host, or leave it: the kubelet lets pods use none of it"
	switch {
	case !h.SwapOff && size > 0:
		return warnf(stays, "swap is on (%s, %s), and the inventory leaves it on", strings.Join(names, ", "), bytesText(size))
	case !h.SwapOff:
		return nil
	case used > f.Memory.Available:
		return errorf("free memory, or stop what uses it, before swap is turned off",
			"swapoff would have to bring back %s into %s of free memory: the machine would hang", bytesText(used), bytesText(f.Memory.Available))
	}
	var out []Finding
	if len(f.Swap.GPTAuto) > 0 {
		out = append(out, warnf("change the partition's type (sfdisk --part-type), or boot with systemd.gpt_auto=0",
			"systemd turns swap on at boot by the partition's type alone: %s", strings.Join(f.Swap.GPTAuto, ", "))...)
	}
	if back := slices.Concat(f.Swap.Fstab, f.Swap.Units); size > 0 || len(back) > 0 {
		var text []string
		if size > 0 {
			text = append(text, "swap is on: "+strings.Join(names, ", "))
		}
		if len(back) > 0 {
			text = append(text, "swap comes back at boot: "+strings.Join(back, ", "))
		}
		out = append(out, noticef("nothing: apply turns it off and keeps it off", "%s", strings.Join(text, "; "))...)
	}
	return out
}

// inodes has the kubelet's own threshold: 5 % of the files.
func inodes(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	var out []Finding
	seen := map[string]bool{}
	for _, p := range []string{"/var/lib/kubelet", "/var/lib/containerd"} {
		s := node.Space(f, p)
		if s.Inodes == 0 || seen[s.Mount] { // some file systems have no such limit
			continue
		}
		seen[s.Mount] = true
		hint := "remove small files, or mount a file system with more inodes at " + p
		switch free := float64(s.InodesFree) / float64(s.Inodes); {
		case free < 0.05:
			out = append(out, errorf(hint, "%s has %d of %d inodes free: the node would be under disk pressure, which begins at 5 %%", s.Mount, s.InodesFree, s.Inodes)...)
		case free < 0.10:
			out = append(out, warnf(hint, "%s has %d of %d inodes free: disk pressure begins at 5 %%", s.Mount, s.InodesFree, s.Inodes)...)
		}
	}
	return out
}

// fsync compares what was measured with etcd's own advice: 99 of 100 writes of
// its log should be on the disk within 10 ms. It fails at half of etcd's
// election time-out of a second.
func fsync(in Input, h inventory.ResolvedHost, _ *facts.Host) []Finding {
	s := in.Sync[h.Name]
	if s == nil {
		return nil
	}
	warn, fail := in.limits("fsync", h.Name)
	p99 := time.Duration(s.P99 * float64(time.Second)).Round(10 * time.Microsecond)
	const hint = "give etcd a disk of its own that is an SSD, mounted at /var/lib/etcd"
	switch {
	case p99 > fail:
		return errorf(hint, "1 of 100 writes below %s takes more than %s until it is on the disk: etcd would lose its leader (%s is the limit)", s.Path, p99, fail)
	case p99 > warn:
		return warnf(hint, "1 of 100 writes below %s takes more than %s until it is on the disk: etcd wants %s", s.Path, p99, warn)
	}
	return nil
}

func secureBoot(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if len(f.GPUs) == 0 || f.NVIDIA.ModuleFile == "" || f.NVIDIA.Loaded || f.Kernel.SecureBoot != "enabled" && f.Kernel.Lockdown != "integrity" && f.Kernel.Lockdown != "confidentiality" {
		return nil
	}
	return warnf("sign the module with a key of the machine's owner (mokutil --import), or turn secure boot off in the firmware",
		"secure boot is on, and the driver %s is there but not loaded: it is probably not signed", f.NVIDIA.ModuleFile)
}

// containerPaths must not be indexed: volumes would be held open, and images
// read file by file.
var containerPaths = []string{"/var/lib/kubelet", "/var/lib/containerd", "/run/containerd"}

func updatedb(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if f.Locate.Program == "" || !f.Locate.Active {
		return nil
	}
	var walked []string
	for _, p := range containerPaths {
		pruned := slices.ContainsFunc(f.Locate.PrunePaths, func(q string) bool { return p == path.Clean(q) || strings.HasPrefix(p, path.Clean(q)+"/") })
		if strings.HasPrefix(p, "/run/") && slices.Contains(f.Locate.PruneFS, "tmpfs") {
			continue
		}
		if !pruned {
			walked = append(walked, p)
		}
	}
	if len(walked) == 0 {
		return nil
	}
	return warnf("add them to PRUNEPATHS in /etc/updatedb.conf, or remove "+f.Locate.Program,
		"updatedb (%s) walks %s, and holds volumes open while it does", f.Locate.Program, strings.Join(walked, ", "))
}

var nodeName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func hostnames(in Input) []Finding {
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil && f.Hostname != "" && !nodeName.MatchString(f.Hostname) {
			out = append(out, on(h.Name, warnf("give it another: hostnamectl set-hostname "+h.Name,
				"the host calls itself %q, which is no DNS name; its node is called %s", f.Hostname, h.Name))...)
		}
	}
	return append(out, shared(in, func(f *facts.Host) string { return f.Hostname }, func(names []string, value string) []Finding {
		return warnf("give each its own: hostnamectl set-hostname NAME",
			"%s call themselves %s: logs and metrics cannot tell them apart", strings.Join(names, ", "), value)
	})...)
}

func machineID(in Input) []Finding {
	return shared(in, func(f *facts.Host) string { return f.MachineID }, func(names []string, value string) []Finding {
		return warnf("on all but one: `rm /etc/machine-id && systemd-machine-id-setup`, then reboot",
			"%s have the same machine-id %s: they were copied from one image, and DHCP and journals may mix them up", strings.Join(names, ", "), value)
	})
}

func productUUID(in Input) []Finding {
	return shared(in, func(f *facts.Host) string {
		if contained(f) {
			return "" // that of the machine below
		}
		return f.Machine.UUID
	}, func(names []string, value string) []Finding {
		return warnf("have the hypervisor give each its own; on bare metal ask the vendor for a firmware tool",
			"%s have the same product UUID %s: storage and inventories may take them for one machine", strings.Join(names, ", "), value)
	})
}

// macs finds cards with one address. On one network that breaks both.
func macs(in Input) []Finding {
	card := func(h inventory.ResolvedHost) node.Address {
		if f := in.Facts[h.Name]; f != nil {
			return node.FindAddress(h, f)
		}
		return node.Address{}
	}
	var out []Finding
	holders := map[string]inventory.ResolvedHost{}
	for _, h := range in.Cluster.Hosts {
		a := card(h)
		if a.Interface.MAC == "" {
			continue
		}
		first, taken := holders[a.Interface.MAC]
		if !taken {
			holders[a.Interface.MAC] = h
			continue
		}
		const hint = "give one of them another: in the hypervisor, or `MACAddress=` in its systemd.link file"
		if text := fmt.Sprintf("%s has the MAC address %s of %s", a.Interface.Name, a.Interface.MAC, first.Name); oneNetwork(a, card(first)) {
			out = append(out, on(h.Name, errorf(hint, "%s: on one network, neither is reached reliably", text))...)
		} else {
			out = append(out, on(h.Name, warnf(hint, "%s", text))...)
		}
	}
	return out
}

func oneNetwork(a, b node.Address) bool {
	for _, text := range a.Interface.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			if ip, err := netip.ParseAddr(b.IP); err == nil && p.Contains(ip) {
				return true
			}
		}
	}
	return false
}

// shared finds values that several hosts have, in the inventory's order.
func shared(in Input, value func(*facts.Host) string, tell func(names []string, value string) []Finding) []Finding {
	holders := map[string][]string{}
	for _, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; f != nil && value(f) != "" {
			holders[value(f)] = append(holders[value(f)], h.Name)
		}
	}
	var out []Finding
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil {
			continue
		}
		if names := holders[value(f)]; len(names) > 1 && names[0] == h.Name {
			out = append(out, tell(names, value(f))...)
		}
	}
	return out
}

// Package brief tells the facts of a host in a few lines, for people. Programs
// read the facts themselves.
package brief

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// Rows gives a label and a text for each line; what a host does not have is
// left out.
func Rows(h *facts.Host) [][]string {
	var out [][]string
	add := func(label, text string) {
		if text != "" {
			if slices.ContainsFunc(out, func(r []string) bool { return r[0] == label }) {
				label = "" // a line more of the same
			}
			out = append(out, []string{label, text})
		}
	}
	add("system", list(h.OS.Name, strings.TrimSpace("Linux "+h.Kernel.Release), h.Kernel.Arch, fmt.Sprintf("cgroup v%d", h.Kernel.Cgroup), systemd(h.OS.Systemd)))
	add("machine", machine(h))
	add("cpu", cpu(h.CPU))
	add("memory", memory(h.Memory))
	add("swap", swap(h.Swap))
	for _, text := range group(h.Disks) {
		add("disks", text)
	}
	for _, text := range space(h.Paths) {
		add("space", text)
	}
	for _, text := range cards(h) {
		add("gpus", text)
	}
	for _, i := range h.Interfaces {
		if i.Kind == "nic" || i.Kind == "bond" || i.Name == h.DefaultInterface {
			add("network", nic(i, h.DefaultInterface))
		}
	}
	for _, i := range h.IdleInterfaces {
		add("network", list(i.Name, i.Driver, "down"))
	}
	add("dns", dns(h.Resolver))
	add("time", clock(h.Time))
	add("firewall", firewall(h.Firewall))
	add("security", list(h.Kernel.LSM, with("SELinux ", h.Kernel.SELinux), with("secure boot ", h.Kernel.SecureBoot)))
	add("software", software(h))
	add("locate", locate(h.Locate))
	add("leftovers", leftovers(h.Leftovers))
	return out
}

// list joins what is there with commas.
func list(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// with gives prefix and s, or nothing.
func with(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// Bytes writes a size in binary units: 16 GiB, 1.8 TiB.
func Bytes(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 1023.95 && unit < 5 {
		f /= 1024
		unit++
	}
	text := fmt.Sprintf("%.1f", f)
	if f >= 100 {
		text = fmt.Sprintf("%.0f", f)
	}
	return strings.TrimSuffix(text, ".0") + " " + []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
}

func count(n int, what string) string {
	if n == 0 {
		return ""
	}
	if n > 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func systemd(version int) string {
	switch version {
	case 0:
		return "no systemd"
	case 1:
		return "systemd"
	}
	return fmt.Sprintf("systemd %d", version)
}

func machine(h *facts.Host) string {
	return list(strings.TrimSpace(h.Machine.Vendor+" "+h.Machine.Product), with("serial ", h.Machine.Serial), with("in ", h.Virtual))
}

func cpu(c facts.CPU) string {
	numa := ""
	if len(c.NUMA) > 1 {
		numa = fmt.Sprintf("%d NUMA nodes", len(c.NUMA))
	}
	return list(c.Model, count(c.Logical, "CPU"), count(c.Cores, "core"), count(c.Sockets, "socket"), numa)
}

func memory(m facts.Memory) string {
	parts := []string{Bytes(m.Total), Bytes(m.Available) + " available"}
	for _, p := range m.HugePages {
		parts = append(parts, fmt.Sprintf("%d huge pages of %s", p.Total, Bytes(p.Size)))
	}
	return list(parts...)
}

func swap(s facts.Swap) string {
	var parts []string
	for _, a := range s.Active {
		parts = append(parts, fmt.Sprintf("%s (%s, %s)", a.Path, cmp.Or(a.Kind, a.Type), Bytes(a.Size)))
	}
	if len(s.Fstab) > 0 {
		parts = append(parts, "in fstab: "+strings.Join(s.Fstab, " "))
	}
	if len(s.Units) > 0 {
		parts = append(parts, "units: "+strings.Join(s.Units, " "))
	}
	if len(s.GPTAuto) > 0 {
		parts = append(parts, "by partition type: "+strings.Join(s.GPTAuto, " "))
	}
	return list(parts...)
}

// space tells of each file system once, by the first path that lies on it.
func space(paths []facts.PathSpace) []string {
	var out, seen []string
	for _, p := range paths {
		if p.Total == 0 || slices.Contains(seen, p.Mount) {
			continue
		}
		seen = append(seen, p.Mount)
		inodes := ""
		if p.Inodes > 0 {
			inodes = fmt.Sprintf("%d%% of inodes free", p.InodesFree*100/p.Inodes)
		}
		out = append(out, list(p.Mount+" "+p.Type, fmt.Sprintf("%s of %s free", Bytes(p.Available), Bytes(p.Total)), inodes))
	}
	return out
}

func locate(l facts.Locate) string {
	if l.Program == "" {
		return ""
	}
	state := "no timer"
	if l.Active {
		state = "runs daily"
	}
	return list(l.Program, state, with("leaves out ", count(len(l.PrunePaths), "path")))
}

func leftovers(all []facts.Leftover) string {
	var kinds []string
	for _, l := range all {
		if !l.Ours && !slices.Contains(kinds, l.Kind) {
			kinds = append(kinds, l.Kind)
		}
	}
	return list(kinds...)
}

package report

import (
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// machine is what a picture shows of a host. Zero values are what the host did
// not tell.
type machine struct {
	CPU                     string
	Sockets, Cores, Threads int // of the whole machine
	Memory, Available       uint64
	GPUs                    []gpu
	Switches                int // NVLink switches
	Disks                   []disk
	NICs                    []nic
}

type gpu struct{ Model, Tip string }

type disk struct {
	Kind string // hdd, ssd, nvme
	Size uint64
	Used bool // something lies on it
	Tip  string
}

type nic struct {
	Name, Speed, Tip string
	Up, Default      bool
}

// read takes from the facts what can be drawn: hardware, and nothing that
// software makes (RAID sets, bridges, loop devices).
func read(f *facts.Host) machine {
	m := machine{
		CPU: cpuName(f.CPU.Model), Sockets: max(f.CPU.Sockets, 1), Cores: f.CPU.Cores, Threads: f.CPU.Logical,
		Memory: f.Memory.Total, Available: f.Memory.Available, Switches: len(f.NVSwitches),
	}
	for _, g := range f.GPUs {
		if g.Class != "" && g.Class != "0302" && g.Vendor != "10de" && g.Vendor != "1002" {
			continue // the VGA chip of a management controller computes nothing
		}
		tip := strings.Join(nonempty(first(g.Model, "PCI "+g.Vendor+":"+g.Device), g.Address, driver(g.Driver)), ", ")
		m.GPUs = append(m.GPUs, gpu{Model: gpuName(g), Tip: tip})
	}
	for _, d := range f.Disks {
		if (d.Kind != "" && d.Kind != "disk") || d.Removable || d.Size == 0 {
			continue
		}
		kind := "ssd"
		switch {
		case d.Rotational:
			kind = "hdd"
		case d.Transport == "nvme" || strings.HasPrefix(d.Name, "nvme"):
			kind = "nvme"
		}
		used, what := usage(d)
		tip := strings.Join(nonempty(d.Name, decimal(d.Size), strings.ToUpper(kind), strings.TrimSpace(d.Vendor+" "+d.Model), what), ", ")
		m.Disks = append(m.Disks, disk{Kind: kind, Size: d.Size, Used: used, Tip: tip})
	}
	for _, list := range [][]facts.Interface{f.Interfaces, f.IdleInterfaces} {
		for _, i := range list {
			if i.Name == "lo" || (i.Kind != "" && i.Kind != "nic" && (i.Name != f.DefaultInterface || made(f, i.Name))) {
				continue
			}
			m.NICs = append(m.NICs, nic{
				Name: i.Name, Speed: speed(i.SpeedMbit), Up: i.Up, Default: i.Name == f.DefaultInterface || (i.Master != "" && i.Master == f.DefaultInterface),
				Tip: strings.Join(nonempty(i.Name, state(i.Up), speed(i.SpeedMbit), strings.Join(i.Addresses, " "), fmt.Sprintf("MTU %d", i.MTU), driver(i.Driver), of(i.Master)), ", "),
			})
		}
	}
	return m
}

// made tells whether an interface is made of cards that are drawn anyway. The
// default one of a container is not, and is all that there is to draw.
func made(f *facts.Host, name string) bool {
	return slices.ContainsFunc(append(slices.Clone(f.Interfaces), f.IdleInterfaces...), func(i facts.Interface) bool { return i.Master == name })
}

// usage tells whether anything lies on a disk, and what, in a few words.
func usage(d facts.Disk) (bool, string) {
	var what []string
	add := func(sigs []facts.Signature, mounts, holders []string) {
		for _, s := range sigs {
			what = append(what, s.Type)
		}
		what = append(what, mounts...)
		what = append(what, holders...)
	}
	add(d.Signatures, d.Mounts, d.Holders)
	for _, p := range d.Partitions {
		add(p.Signatures, p.Mounts, p.Holders)
	}
	switch {
	case len(what) > 0:
		slices.Sort(what)
		return true, short(strings.Join(slices.Compact(what), " "), 60)
	case len(d.Partitions) > 0 || d.Table != "":
		return true, count(len(d.Partitions), "partition")
	case d.Unread != "":
		return true, "not read: " + d.Unread
	}
	return false, "blank"
}

// cpuName leaves out what vendors write around the name.
func cpuName(s string) string {
	s = strings.NewReplacer("(R)", "", "(TM)", "", "(r)", "", "(tm)", "", " CPU", "", " Processor", "").Replace(s)
	s, _, _ = strings.Cut(s, "@")
	return strings.Join(strings.Fields(s), " ")
}

// gpuName is what fits on a card: V100, P100, A100.
func gpuName(g facts.GPU) string {
	for _, word := range strings.FieldsFunc(g.Model, func(r rune) bool { return r == ' ' || r == '-' || r == '[' || r == ']' || r == ',' }) {
		if strings.ContainsAny(word, "0123456789") {
			return short(word, 7)
		}
	}
	return g.Device
}

func driver(s string) string {
	if s == "" {
		return ""
	}
	return "driver " + s
}

func of(master string) string {
	if master == "" {
		return ""
	}
	return "part of " + master
}

func state(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func first(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

func nonempty(ss ...string) (out []string) {
	for _, s := range ss {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

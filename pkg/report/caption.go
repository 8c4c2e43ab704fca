package report

import (
	"fmt"
	"slices"
	"strings"
)

// caption says the whole picture in words.
func (m machine) caption() string {
	var parts []string
	if m.Threads > 0 {
		parts = append(parts, m.cpuCaption())
	}
	if m.Memory > 0 {
		parts = append(parts, binary(m.Memory)+" memory")
	}
	for _, p := range []struct {
		n    int
		text func() string
	}{{len(m.GPUs), m.gpuCaption}, {len(m.Disks), m.diskCaption}, {len(m.NICs), m.nicCaption}} {
		if p.n > 0 {
			parts = append(parts, p.text())
		}
	}
	return strings.Join(parts, "; ")
}

func (m machine) cpuCaption() string {
	name := first(m.CPU, "CPU")
	if m.Sockets > 1 {
		name = fmt.Sprintf("%d × %s", m.Sockets, name)
	}
	if m.Cores > 0 && m.Cores != m.Threads {
		return fmt.Sprintf("%s: %s, %s", name, count(m.Cores, "core"), count(m.Threads, "thread"))
	}
	if m.Cores > 0 {
		return name + ": " + count(m.Cores, "core")
	}
	return name + ": " + count(m.Threads, "thread")
}

func (m machine) gpuCaption() string {
	text := tally(len(m.GPUs), func(i int) string { return first(strings.SplitN(m.GPUs[i].Tip, ",", 2)[0], "GPU") })
	if m.Switches > 0 {
		text += ", NVLink switched"
	}
	return text
}

func (m machine) diskCaption() string {
	blank := 0
	for _, d := range m.Disks {
		if !d.Used {
			blank++
		}
	}
	text := tally(len(m.Disks), func(i int) string {
		kind := map[string]string{"hdd": "HDD", "ssd": "SSD", "nvme": "NVMe"}[m.Disks[i].Kind]
		return decimal(m.Disks[i].Size) + " " + kind
	})
	if blank > 0 {
		text += fmt.Sprintf("; %d blank", blank)
	}
	return text
}

func (m machine) nicCaption() string {
	return tally(len(m.NICs), func(i int) string {
		n := m.NICs[i]
		if !n.Up {
			return "port without link"
		}
		return strings.TrimSpace(n.Speed + " port")
	})
}

// tally counts what is alike, in the order it comes: "24 × 4 TB HDD, 2 × 480 GB SSD".
func tally(n int, name func(int) string) string {
	var names []string
	times := map[string]int{}
	for i := range n {
		s := name(i)
		if !slices.Contains(names, s) {
			names = append(names, s)
		}
		times[s]++
	}
	for i, s := range names {
		if n > 1 {
			names[i] = fmt.Sprintf("%d × %s", times[s], s)
		}
	}
	return strings.Join(names, ", ")
}

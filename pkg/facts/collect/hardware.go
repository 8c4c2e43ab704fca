package collect

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

const dmi = "/sys/class/dmi/id/"

func (h *host) machine() facts.Machine {
	return facts.Machine{
		Vendor:  told(h.line(dmi + "sys_vendor")),
		Product: told(h.line(dmi + "product_name")),
		Serial:  told(h.line(dmi + "product_serial")),
		UUID:    strings.ToLower(told(h.line(dmi + "product_uuid"))),
		BIOS:    strings.TrimSpace(h.line(dmi+"bios_version") + " " + h.line(dmi+"bios_date")),
	}
}

// told drops what firmware says when nobody filled in the field.
func told(s string) string {
	switch strings.ToLower(s) {
	case "to be filled by o.e.m.", "default string", "system serial number", "system product name", "system manufacturer", "not specified", "none", "0":
		return ""
	}
	return s
}

// hypervisors by a word in what the firmware says of the machine.
var hypervisors = []struct{ word, name string }{
	{"amazon ec2", "amazon"}, {"google compute", "google"}, {"vmware", "vmware"}, {"virtualbox", "oracle"}, {"innotek", "oracle"},
	{"xen", "xen"}, {"bhyve", "bhyve"}, {"parallels", "parallels"}, {"openstack", "kvm"}, {"kvm", "kvm"}, {"rhev", "kvm"}, {"qemu", "qemu"}, {"bochs", "bochs"},
}

// virtual tells what the host runs in: a container hides the machine below it.
func (h *host) virtual(cpuinfo string) string {
	if c := h.container(); c != "" {
		return c
	}
	if strings.Contains(cpuinfo, "User Mode Linux") {
		return "uml"
	}
	// A CPU flag that every hypervisor sets; ARM has none, so there the firmware alone tells.
	flag, flags := hasFlag(cpuinfo, "hypervisor")
	firmware := strings.ToLower(strings.Join([]string{h.line(dmi + "sys_vendor"), h.line(dmi + "product_name"), h.line(dmi + "board_vendor"), h.line(dmi + "bios_vendor")}, "\n"))
	if strings.Contains(firmware, "microsoft corporation\nvirtual machine") {
		return "microsoft"
	}
	for _, v := range hypervisors {
		if strings.Contains(firmware, v.word) && (flag || !flags || v.word != "amazon ec2") { // EC2 has bare metal too
			return v.name
		}
	}
	if t := h.line("/sys/hypervisor/type"); t != "" {
		return t
	}
	if flag {
		return "vm"
	}
	return ""
}

func (h *host) container() string {
	if c := h.line("/run/systemd/container"); c != "" {
		return c
	}
	for env := range strings.SplitSeq(h.text("/proc/1/environ"), "\x00") {
		if c, ok := strings.CutPrefix(env, "container="); ok && c != "" {
			return c
		}
	}
	if h.exists("/.dockerenv") {
		return "docker"
	}
	return ""
}

// hasFlag looks for a CPU flag of the first processor; known is false where
// cpuinfo has no flags.
func hasFlag(cpuinfo, flag string) (has, known bool) {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "flags" {
			return slices.Contains(strings.Fields(value), flag), true
		}
	}
	return false, false
}

func (h *host) cpu(cpuinfo string) facts.CPU {
	const base = "/sys/devices/system/cpu/"
	c := parseCPU(cpuinfo, h.text(base+"online"))
	if c.Cores == 0 { // ARM's cpuinfo has no topology
		cores, sockets := map[string]bool{}, map[string]bool{}
		for _, dir := range h.glob(base + "cpu[0-9]*/topology") {
			socket, core := h.line(dir+"/physical_package_id"), h.line(dir+"/core_id")
			if core != "" {
				cores[socket+"/"+core], sockets[socket] = true, true
			}
		}
		c.Cores = len(cores)
		c.Sockets = max(c.Sockets, len(sockets))
	}
	c.MaxMHz = h.number(base+"cpu0/cpufreq/cpuinfo_max_freq") / 1000
	for _, dir := range h.glob("/sys/devices/system/node/node[0-9]*") {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node"))
		if err != nil {
			continue
		}
		n := facts.NUMANode{ID: id, CPUs: h.line(dir + "/cpulist"), HugePages: h.hugePages(dir + "/hugepages")}
		n.Total, n.Free = parseNodeMemory(h.text(dir + "/meminfo"))
		c.NUMA = append(c.NUMA, n)
	}
	slices.SortFunc(c.NUMA, func(a, b facts.NUMANode) int { return a.ID - b.ID })
	return c
}

// parseNodeMemory reads lines like "Node 0 MemTotal: 131 kB".
func parseNodeMemory(text string) (total, free uint64) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		n, err := strconv.ParseUint(f[3], 10, 54)
		switch {
		case err != nil:
		case f[2] == "MemTotal:":
			total = n << 10
		case f[2] == "MemFree:":
			free = n << 10
		}
	}
	return total, free
}

func (h *host) memory() facts.Memory {
	m := parseMemory(h.text("/proc/meminfo"))
	m.HugePages = h.hugePages("/sys/kernel/mm/hugepages")
	m.TransparentHugePages = chosen(h.line("/sys/kernel/mm/transparent_hugepage/enabled"))
	return m
}

// hugePages reads a directory of hugepages-2048kB and the like.
func (h *host) hugePages(dir string) []facts.HugePages {
	var out []facts.HugePages
	for _, d := range h.glob(dir + "/hugepages-*kB") {
		kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(d), "hugepages-"), "kB"), 10, 50)
		total := h.number(d + "/nr_hugepages")
		if err != nil || total <= 0 {
			continue
		}
		out = append(out, facts.HugePages{Size: kib << 10, Total: uint64(total), Free: uint64(max(0, h.number(d+"/free_hugepages")))})
	}
	slices.SortFunc(out, func(a, b facts.HugePages) int { return int(a.Size>>10) - int(b.Size>>10) })
	return out
}

// chosen gives the word in brackets of "always [madvise] never".
func chosen(s string) string {
	_, rest, ok := strings.Cut(s, "[")
	word, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return ""
	}
	return word
}

// secureBoot reads the EFI variable: four bytes of attributes, then the value.
func (h *host) secureBoot() string {
	raw := h.text("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
	switch {
	case len(raw) < 5:
		return ""
	case raw[4] == 1:
		return "enabled"
	}
	return "disabled"
}

func (h *host) selinux() string {
	switch h.line("/sys/fs/selinux/enforce") {
	case "1":
		return "enforcing"
	case "0":
		return "permissive"
	}
	return ""
}

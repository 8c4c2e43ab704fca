package collect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

func (h *host) swap() facts.Swap {
	s := facts.Swap{Active: parseSwaps(h.text("/proc/swaps")), Fstab: parseFstabSwap(h.text("/etc/fstab"))}
	for i := range s.Active {
		s.Active[i].Kind = h.swapKind(s.Active[i])
	}
	for _, dir := range unitDirs {
		entries, err := os.ReadDir(h.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			n := e.Name()
			zram := n == "zramswap.service" || n == "zram-config.service" || n == "dphys-swapfile.service"
			if e.IsDir() || slices.Contains(s.Units, n) || !zram && !strings.HasSuffix(n, ".swap") || h.masked(n) {
				continue
			}
			if strings.Contains(h.text(dir+"/"+n), "SourcePath=/etc/fstab") {
				continue // goes with the line of fstab
			}
			s.Units = append(s.Units, n)
		}
	}
	if h.exists("/usr/lib/systemd/system-generators/zram-generator") {
		for _, p := range []string{"/etc/systemd/zram-generator.conf", "/run/systemd/zram-generator.conf", "/usr/lib/systemd/zram-generator.conf"} {
			if !h.exists(p) {
				continue
			}
			if strings.Contains("\n"+h.text(p), "\n[zram") {
				s.Units = append(s.Units, p)
			}
			break // the first file found is the one that counts
		}
	}
	return s
}

func (h *host) swapKind(a facts.SwapArea) string {
	name := filepath.Base(a.Path)
	switch {
	case strings.HasPrefix(name, "zram"):
		return "zram"
	case a.Type == "file":
		return "file"
	case strings.HasPrefix(h.line("/sys/block/"+name+"/dm/uuid"), "LVM-"):
		return "lvm"
	}
	return "partition"
}

// swapOnDisks adds the swap that no file tells of: areas that lie on disks, and
// those of them that systemd switches on by their partition type alone. It does
// that on the root file system's disk, unless fstab names a swap or the kernel's
// command line forbids it.
func (h *host) swapOnDisks(s *facts.Swap, disks []facts.Disk, cmdline string) {
	active := func(paths ...string) bool {
		return slices.ContainsFunc(s.Active, func(a facts.SwapArea) bool { return slices.Contains(paths, a.Path) })
	}
	holds := func(list []facts.Signature) bool {
		return slices.ContainsFunc(list, func(x facts.Signature) bool { return x.Type == "swap" })
	}
	words := strings.Fields(cmdline)
	auto := len(s.Fstab) == 0
	for _, off := range []string{"systemd.gpt_auto=0", "systemd.gpt_auto=no", "systemd.swap=0", "systemd.swap=no"} {
		auto = auto && !slices.Contains(words, off)
	}
	for _, d := range disks {
		if holds(d.Signatures) && !active(d.Path, "/dev/"+d.Name) {
			s.Dormant = append(s.Dormant, d.Path)
		}
		root := slices.ContainsFunc(d.Partitions, func(p facts.Partition) bool { return slices.Contains(p.Mounts, "/") })
		for _, p := range d.Partitions {
			if !holds(p.Signatures) {
				continue
			}
			if !active(p.Path) {
				s.Dormant = append(s.Dormant, p.Path)
			}
			if auto && root && p.Type == swapPartition && !p.NoAuto && !h.masked(swapUnit(p.Path)) {
				s.GPTAuto = append(s.GPTAuto, p.Path)
			}
		}
	}
}

// swapUnit names a device's swap unit as systemd does; device names hold no
// letters that need more than this.
func swapUnit(device string) string {
	return strings.ReplaceAll(strings.Trim(device, "/"), "/", "-") + ".swap"
}

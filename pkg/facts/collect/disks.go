package collect

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// disks lists the block devices and looks at what lies on them, all side by
// side: a host has dozens.
func (h *host) disks(mounts []mount) []facts.Disk {
	names := h.byID()
	var out []facts.Disk
	for _, dir := range h.glob("/sys/block/*") {
		if d, ok := h.disk(dir, names); ok {
			out = append(out, d)
		}
	}
	h.probeAll(out, slowRead, h.look)
	h.whereMounted(out, mounts)
	slices.SortFunc(out, func(a, b facts.Disk) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name)) // sdb before sdaa
	})
	return out
}

// disk reads what the kernel tells. Optical drives, floppies, RAM disks and
// devices of no size are left out; zram is told of as swap.
func (h *host) disk(dir string, names map[string][]string) (facts.Disk, bool) {
	name := filepath.Base(dir)
	d := facts.Disk{Name: name, Path: "/dev/" + strings.ReplaceAll(name, "!", "/"), Kind: h.diskKind(dir, name), Size: h.sectors(dir + "/size")}
	if d.Size == 0 || d.Kind == "" || h.line(dir+"/hidden") == "1" {
		return d, false
	}
	if mapped := h.line(dir + "/dm/name"); mapped != "" {
		d.Path = "/dev/mapper/" + mapped
	}
	d.Model = cmp.Or(h.line(dir+"/device/model"), h.line(dir+"/device/name"))
	d.Vendor = told(h.line(dir + "/device/vendor"))
	if d.Vendor == "ATA" || strings.HasPrefix(d.Vendor, "0x") { // the translation layer, a PCI id
		d.Vendor = ""
	}
	d.Rotational = h.line(dir+"/queue/rotational") == "1"
	d.Removable = h.line(dir+"/removable") == "1"
	d.ReadOnly = h.line(dir+"/ro") == "1"
	d.LogicalBlock = h.number(dir + "/queue/logical_block_size")
	d.PhysicalBlock = h.number(dir + "/queue/physical_block_size")
	if d.Kind == "disk" {
		d.Transport = h.transport(dir, name)
	}
	d.Level = h.line(dir + "/md/level")
	udev := h.udev(h.line(dir + "/dev"))
	d.Serial = cmp.Or(h.line(dir+"/serial"), h.line(dir+"/device/serial"), unitSerial(h.text(dir+"/device/vpd_pg80")), udev["ID_SERIAL_SHORT"])
	d.WWN = cmp.Or(wwn(h.line(dir+"/wwid")), wwn(h.line(dir+"/device/wwid")), udev["ID_WWN"])
	d.ByID = names[name]
	d.Holders, d.Parts = h.entries(dir+"/holders"), h.entries(dir+"/slaves")
	for _, part := range h.glob(dir + "/" + escapeGlob(name) + "*") {
		number := h.number(part + "/partition")
		if number == 0 {
			continue
		}
		n := filepath.Base(part)
		d.Partitions = append(d.Partitions, facts.Partition{
			Name: n, Path: "/dev/" + strings.ReplaceAll(n, "!", "/"), Number: number, Start: h.sectors(part + "/start"), Size: h.sectors(part + "/size"),
			ByID: names[n], Holders: h.entries(part + "/holders"),
		})
	}
	slices.SortFunc(d.Partitions, func(a, b facts.Partition) int { return a.Number - b.Number })
	return d, true
}

func (h *host) diskKind(dir, name string) string {
	prefix := strings.TrimRight(name, "0123456789")
	switch prefix {
	case "sr", "fd", "ram", "zram", "mtdblock":
		return ""
	case "loop":
		if h.line(dir+"/loop/backing_file") == "" {
			return ""
		}
		return "loop"
	case "md", "md_d", "rbd", "nbd", "drbd", "bcache":
		return strings.TrimSuffix(prefix, "_d")
	case "dm-":
		kind, _, _ := strings.Cut(h.line(dir+"/dm/uuid"), "-")
		switch kind {
		case "LVM", "CRYPT", "mpath":
			return strings.ToLower(kind)
		}
		return "dm"
	}
	if strings.HasPrefix(name, "mmcblk") && strings.Contains(name, "boot") {
		return ""
	}
	return "disk"
}

// transport is read off the path of the device in the tree of buses.
func (h *host) transport(dir, name string) string {
	if strings.HasPrefix(name, "nvme") {
		return "nvme"
	}
	if strings.HasPrefix(name, "mmcblk") {
		return "mmc"
	}
	real, err := filepath.EvalSymlinks(h.path(dir))
	if err != nil {
		return ""
	}
	for _, t := range []struct{ part, name string }{
		{"/usb", "usb"}, {"/session", "iscsi"}, {"/end_device-", "sas"}, {"/ata", "sata"}, {"/rport-", "fc"}, {"/virtio", "virtio"}, {"/target", "scsi"},
	} {
		if strings.Contains(real, t.part) {
			return t.name
		}
	}
	return ""
}

// sectors reads a number of sectors of 512 bytes, whatever the disk's own are.
func (h *host) sectors(p string) uint64 {
	n, err := strconv.ParseUint(h.line(p), 10, 54)
	if err != nil {
		return 0
	}
	return n * 512
}

func (h *host) entries(dir string) []string {
	list, err := os.ReadDir(h.path(dir))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// byID gives the names below /dev/disk/by-id of each device, those with model
// and serial first, numbers only last.
func (h *host) byID() map[string][]string {
	const dir = "/dev/disk/by-id"
	out := map[string][]string{}
	for _, name := range h.entries(dir) {
		if target, err := os.Readlink(h.path(dir + "/" + name)); err == nil {
			device := filepath.Base(target)
			out[device] = append(out[device], name)
		}
	}
	rank := func(name string) int {
		for i, prefix := range []string{"ata-", "nvme-eui.", "nvme-", "dm-name-", "md-name-", "lvm-", "scsi-S", "virtio-", "usb-", "scsi-", "wwn-"} {
			if strings.HasPrefix(name, prefix) {
				if prefix == "nvme-eui." {
					return 100
				}
				return i
			}
		}
		return 50
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b string) int { return cmp.Or(rank(a)-rank(b), cmp.Compare(a, b)) })
	}
	return out
}

// udev gives what udev noted of a device, by its numbers "8:0".
func (h *host) udev(numbers string) map[string]string {
	out := map[string]string{}
	if numbers == "" {
		return out
	}
	for line := range strings.Lines(h.text("/run/udev/data/b" + numbers)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(key, "E:") {
			out[key[2:]] = value
		}
	}
	return out
}

// unitSerial takes the serial number out of SCSI's page 80: a header of four
// bytes, the last of which is the length.
func unitSerial(page string) string {
	if len(page) < 5 || page[1] != 0x80 {
		return ""
	}
	return strings.TrimSpace(strings.Trim(page[4:min(len(page), 4+int(page[3]))], "\x00"))
}

// wwn makes udev's spelling of the kernel's: naa.5000c500a1b2 is 0x5000c500a1b2.
func wwn(id string) string {
	if rest, ok := strings.CutPrefix(id, "naa."); ok {
		return "0x" + rest
	}
	if strings.HasPrefix(id, "t10.") { // no number: vendor, model and serial again
		return ""
	}
	return id
}

// whereMounted notes the mount points of disks and partitions; what is mounted
// in parts (bind mounts, a pod's sub-paths) counts once, at its root.
func (h *host) whereMounted(disks []facts.Disk, mounts []mount) {
	at := map[string][]string{}
	for _, m := range mounts {
		if !strings.HasPrefix(m.source, "/dev/") || m.root != "/" && m.kind != "btrfs" {
			continue
		}
		name := m.source
		if real, err := filepath.EvalSymlinks(h.path(name)); err == nil {
			if rel, err := filepath.Rel(h.root, real); err == nil {
				name = "/" + rel
			}
		}
		for _, n := range []string{m.source, name} {
			if !slices.Contains(at[n], m.point) {
				at[n] = append(at[n], m.point)
			}
		}
	}
	for i := range disks {
		d := &disks[i]
		d.Mounts = at[d.Path]
		if d.Mounts == nil {
			d.Mounts = at["/dev/"+d.Name]
		}
		for j := range d.Partitions {
			d.Partitions[j].Mounts = at[d.Partitions[j].Path]
		}
	}
}

package collect_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/facts/collect"
	"kforge.dev/kforge/pkg/resource/resourcetest"
)

// site is a host whose /sys is written by the test.
type site struct {
	*resourcetest.Host
	t testing.TB
}

func newSite(t testing.TB) *site {
	t.Helper()
	h, err := resourcetest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &site{h, t}
}

func (s *site) write(files map[string]string) {
	s.t.Helper()
	for p, c := range files {
		if err := s.WriteFile(p, c); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) link(path, target string) {
	s.t.Helper()
	p := filepath.Join(s.Root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(target, p); err != nil {
		s.t.Fatal(err)
	}
}

// disk makes a disk with its place among the buses, and its content as a sparse
// file.
func (s *site) disk(name, bus string, size int64, pieces map[int64]string) {
	s.t.Helper()
	dir := "/sys/devices/" + bus + "/block/" + name
	s.link("/sys/block/"+name, "../"+strings.TrimPrefix(dir, "/sys/"))
	s.write(map[string]string{
		dir + "/size": fmt.Sprintln(size / 512), dir + "/removable": "0\n", dir + "/ro": "0\n", dir + "/dev": "8:0\n",
		dir + "/queue/rotational": "1\n", dir + "/queue/logical_block_size": "512\n", dir + "/queue/physical_block_size": "4096\n",
	})
	s.device(name, size, pieces)
}

func (s *site) device(name string, size int64, pieces map[int64]string) {
	s.t.Helper()
	s.write(map[string]string{"/dev/" + name: ""})
	f, err := os.OpenFile(filepath.Join(s.Root, "dev", name), os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		s.t.Fatal(err)
	}
	for at, text := range pieces {
		if at < 0 {
			at += size
		}
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) facts() *facts.Host {
	s.t.Helper()
	f, err := collect.Collect(s.t.Context(), s.Root)
	if err != nil {
		s.t.Fatalf("Collect = %v", err)
	}
	return f
}

const gib = 1 << 30

// hadoop is a data node: 24 disks behind a SAS controller, 22 of them xfs, one
// with two partitions (root and a swap of the GPT kind), one once in a md set.
func hadoop(t testing.TB) *site {
	s := newSite(t)
	uuid := "\xde\xad\xbe\xef\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"
	for i := range 24 {
		name := fmt.Sprintf("sd%c", 'a'+i)
		pieces := map[int64]string{0: "XFSB", 32: uuid, 108: fmt.Sprintf("data%d", i)}
		switch i {
		case 0:
			pieces = gpt([]part{
				{"4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "root", 0},
				{"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "swap", 0},
				{"0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "kept", 1 << 63},
			})
		case 1:
			pieces = map[int64]string{-65536: "\xfc\x4e\x2b\xa9" + le32(0) + le32(90)}
		}
		bus := fmt.Sprintf("pci0000:00/0000:03:00.0/host0/port-0:0/end_device-0:0:%d/target0:0:%d/0:0:%d:0", i, i, i)
		s.disk(name, bus, 8*gib, pieces)
		s.write(map[string]string{
			"/sys/devices/" + bus + "/block/" + name + "/device/model":     "ST4000NM0023    \n",
			"/sys/devices/" + bus + "/block/" + name + "/device/vendor":    "SEAGATE \n",
			"/sys/devices/" + bus + "/block/" + name + "/device/wwid":      fmt.Sprintf("naa.5000c500a1b2%04x\n", i),
			"/sys/devices/" + bus + "/block/" + name + "/device/vpd_pg80":  fmt.Sprintf("\x00\x80\x00\x08Z1Z%05d", i),
			"/sys/devices/" + bus + "/block/" + name + "/device/state":     "running\n",
			"/sys/devices/" + bus + "/block/" + name + "/trace/enable":     "0\n",
			"/sys/devices/" + bus + "/block/" + name + "/queue/nr_request": "256\n",
		})
		s.link("/dev/disk/by-id/wwn-"+fmt.Sprintf("0x5000c500a1b2%04x", i), "../../"+name)
		s.link("/dev/disk/by-id/scsi-SSEAGATE_ST4000NM0023_"+fmt.Sprintf("Z1Z%05d", i), "../../"+name)
	}
	for i, p := range []struct {
		size   int64
		pieces map[int64]string
	}{
		{4 * gib, map[int64]string{1024 + 56: "\x53\xef", 1024 + 0x60: le32(0x2c2), 1024 + 104: uuid, 1024 + 120: "root"}},
		{gib, map[int64]string{4096 - 10: "SWAPSPACE2", 1024 + 12: uuid}},
		{gib, map[int64]string{4096 - 10: "SWAPSPACE2"}},
	} {
		dir := fmt.Sprintf("/sys/block/sda/sda%d", i+1)
		s.write(map[string]string{dir + "/partition": fmt.Sprintln(i + 1), dir + "/start": "2048\n", dir + "/size": fmt.Sprintln(p.size / 512)})
		s.device(fmt.Sprintf("sda%d", i+1), p.size, p.pieces)
	}
	var mounts strings.Builder
	mounts.WriteString("1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n")
	for i := 2; i < 24; i++ {
		fmt.Fprintf(&mounts, "%d 1 8:%d / /data/%d rw,noatime - xfs /dev/sd%c rw\n", i, i*16, i, 'a'+i)
	}
	mounts.WriteString("99 1 8:32 /pod/x /var/lib/kubelet/pods/x rw - xfs /dev/sdc rw\n") // a part only
	s.write(map[string]string{
		"/proc/self/mountinfo": mounts.String(), "/etc/fstab": "UUID=1 / ext4 defaults 0 1\n",
		"/sys/class/dmi/id/sys_vendor": "Dell Inc.\n", "/sys/class/dmi/id/product_name": "PowerEdge R720xd\n",
		"/sys/class/dmi/id/product_serial": "ABC1234\n", "/sys/class/dmi/id/product_uuid": "4C4C4544-0042\n",
		"/etc/updatedb.conf":        "PRUNE_BIND_MOUNTS=\"yes\"\nPRUNEFS=\"nfs tmpfs\"\nPRUNEPATHS=\"/tmp /var/spool\"\n",
		"/usr/bin/updatedb.plocate": "ELF", "/usr/lib/systemd/system/plocate-updatedb.timer": "[Timer]\n",
		"/etc/systemd/system/timers.target.wants/plocate-updatedb.timer": "[Timer]\n",
	})
	return s
}

type part struct {
	kind, name string
	attrs      uint64
}

// gpt makes a partition table; where the partitions lie is /sys's to tell.
func gpt(parts []part) map[int64]string {
	header := make([]byte, 92)
	copy(header, "EFI PART")
	binary.LittleEndian.PutUint64(header[72:], 2)
	binary.LittleEndian.PutUint32(header[80:], 128)
	binary.LittleEndian.PutUint32(header[84:], 128)
	table := make([]byte, 128*len(parts))
	for i, p := range parts {
		b := table[i*128:]
		copy(b, guid(p.kind))
		copy(b[16:], guid(fmt.Sprintf("00000000-0000-0000-0000-00000000000%d", i+1)))
		binary.LittleEndian.PutUint64(b[48:], p.attrs)
		for j, c := range utf16.Encode([]rune(p.name)) {
			binary.LittleEndian.PutUint16(b[56+2*j:], c)
		}
	}
	return map[int64]string{512: string(header), 1024: string(table), 510: "\x55\xaa", 450: "\xee"}
}

func guid(s string) []byte {
	var a uint32
	var b, c, d uint16
	var e uint64
	if _, err := fmt.Sscanf(s, "%8x-%4x-%4x-%4x-%12x", &a, &b, &c, &d, &e); err != nil {
		panic(err)
	}
	out := binary.LittleEndian.AppendUint32(nil, a)
	out = binary.LittleEndian.AppendUint16(out, b)
	out = binary.LittleEndian.AppendUint16(out, c)
	out = binary.BigEndian.AppendUint16(out, d)
	return append(out, binary.BigEndian.AppendUint64(nil, e)[2:]...)
}

func le32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

func TestHadoopNode(t *testing.T) {
	t.Parallel()
	s := hadoop(t)
	start := time.Now()
	f := s.facts()
	t.Logf("took %s", time.Since(start))
	if len(f.Disks) != 24 {
		t.Fatalf("%d disks, want 24", len(f.Disks))
	}
	uuid := "deadbeef-0001-0203-0405-060708090a0b"
	want := facts.Disk{
		Name: "sdc", Path: "/dev/sdc", Kind: "disk", Model: "ST4000NM0023", Vendor: "SEAGATE", Serial: "Z1Z00002", WWN: "0x5000c500a1b20002",
		ByID: []string{"scsi-SSEAGATE_ST4000NM0023_Z1Z00002", "wwn-0x5000c500a1b20002"}, Size: 8 * gib, Rotational: true,
		LogicalBlock: 512, PhysicalBlock: 4096, Transport: "sas", Signatures: []facts.Signature{{Type: "xfs", UUID: uuid, Label: "data2"}}, Mounts: []string{"/data/2"},
	}
	if d := cmp.Diff(want, f.Disks[2]); d != "" {
		t.Errorf("sdc (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.Signature{{Type: "linux_raid_member"}}, f.Disks[1].Signatures); d != "" {
		t.Errorf("sdb (-want +got):\n%s", d)
	}
	const swap = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
	wantParts := []facts.Partition{
		{Name: "sda1", Path: "/dev/sda1", Number: 1, Start: 1 << 20, Size: 4 * gib, Type: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", TypeName: "root-x86-64", Label: "root",
			UUID: "00000000-0000-0000-0000-000000000001", Signatures: []facts.Signature{{Type: "ext4", UUID: uuid, Label: "root"}}, Mounts: []string{"/"}},
		{Name: "sda2", Path: "/dev/sda2", Number: 2, Start: 1 << 20, Size: gib, Type: swap, TypeName: "swap", Label: "swap",
			UUID: "00000000-0000-0000-0000-000000000002", Signatures: []facts.Signature{{Type: "swap", UUID: uuid}}},
		{Name: "sda3", Path: "/dev/sda3", Number: 3, Start: 1 << 20, Size: gib, Type: swap, TypeName: "swap", Label: "kept", NoAuto: true,
			UUID: "00000000-0000-0000-0000-000000000003", Signatures: []facts.Signature{{Type: "swap"}}},
	}
	if d := cmp.Diff(wantParts, f.Disks[0].Partitions); d != "" || f.Disks[0].Table != "gpt" {
		t.Errorf("sda, table %q (-want +got):\n%s", f.Disks[0].Table, d)
	}
	if d := cmp.Diff(facts.Swap{GPTAuto: []string{"/dev/sda2"}, Dormant: []string{"/dev/sda2", "/dev/sda3"}}, f.Swap); d != "" {
		t.Errorf("Swap (-want +got):\n%s", d)
	}
	wantMachine := facts.Machine{Vendor: "Dell Inc.", Product: "PowerEdge R720xd", Serial: "ABC1234", UUID: "4c4c4544-0042"}
	if d := cmp.Diff(wantMachine, f.Machine); d != "" || f.Virtual != "" {
		t.Errorf("in %q, Machine (-want +got):\n%s", f.Virtual, d)
	}
	wantLocate := facts.Locate{Program: "plocate", Active: true, Config: "/etc/updatedb.conf", PrunePaths: []string{"/tmp", "/var/spool"}, PruneFS: []string{"nfs", "tmpfs"}, PruneBindMounts: true}
	if d := cmp.Diff(wantLocate, f.Locate); d != "" {
		t.Errorf("Locate (-want +got):\n%s", d)
	}
}

// A line of fstab, or the kernel's command line, keeps systemd from switching
// on swap by itself.
func TestNoAutomaticSwap(t *testing.T) {
	t.Parallel()
	for _, files := range []map[string]string{
		{"/etc/fstab": "/swapfile none swap sw 0 0\n"},
		{"/proc/cmdline": "root=/dev/sda1 systemd.gpt_auto=0\n"},
	} {
		s := hadoop(t)
		s.write(files)
		if got := s.facts().Swap.GPTAuto; got != nil {
			t.Errorf("with %v: GPTAuto = %v", files, got)
		}
	}
}

func (s *site) pci(address, vendor, device, class, numa, driver string) {
	dir := "/sys/devices/pci0000:00/" + address
	s.write(map[string]string{dir + "/vendor": "0x" + vendor + "\n", dir + "/device": "0x" + device + "\n", dir + "/class": "0x" + class + "\n", dir + "/numa_node": numa + "\n"})
	s.link("/sys/bus/pci/devices/"+address, "../../../devices/pci0000:00/"+address)
	if driver != "" {
		s.link(dir+"/driver", "../../../bus/pci/drivers/"+driver)
	}
}

func numa(n int) *int { return &n }

// A server of V100 modules: 3D controllers, switches, and the board's own VGA.
func TestGPUServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.pci("0000:03:00.0", "1a03", "2000", "030000", "0", "ast")
	s.pci("0000:34:00.0", "10de", "1db8", "030200", "0", "nvidia")
	s.pci("0000:b7:00.0", "10de", "1db8", "030200", "1", "")
	s.pci("0000:5f:00.0", "10de", "1ac2", "068000", "-1", "nvidia-nvswitch")
	s.pci("0000:60:00.0", "10de", "0fff", "040300", "0", "snd_hda_intel")
	s.write(map[string]string{
		"/proc/driver/nvidia/gpus/0000:34:00.0/information": "Model: \t\t Tesla V100-SXM3-32GB-H\nIRQ:   \t\t 120\nGPU UUID: \t GPU-0c3b3a2c-1\n",
		"/proc/driver/nvidia/version":                       "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:06:26 UTC 2025\nGCC version:  gcc version 12.2.0\n",
		"/sys/module/nvidia/version":                        "580.65.06\n",
		"/etc/modprobe.d/nvidia.conf":                       "# no rival\nblacklist nouveau\n",
		"/usr/bin/nvidia-container-runtime":                 "ELF",
	})
	f := s.facts()
	want := []facts.GPU{
		{Address: "0000:34:00.0", Vendor: "10de", Device: "1db8", Class: "0302", Model: "Tesla V100-SXM3-32GB-H", Driver: "nvidia", UUID: "GPU-0c3b3a2c-1", NUMA: numa(0)},
		{Address: "0000:b7:00.0", Vendor: "10de", Device: "1db8", Class: "0302", Model: "Tesla V100-SXM3-32GB", NUMA: numa(1)},
	}
	if d := cmp.Diff(want, f.GPUs); d != "" {
		t.Errorf("GPUs (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"0000:5f:00.0"}, f.NVSwitches); d != "" {
		t.Errorf("NVSwitches (-want +got):\n%s", d)
	}
	wantDriver := facts.NVIDIA{Version: "580.65.06", Loaded: true, Flavour: "proprietary", NouveauBlacklisted: true, Toolkit: "/usr/bin/nvidia-container-runtime"}
	if d := cmp.Diff(wantDriver, f.NVIDIA); d != "" {
		t.Errorf("NVIDIA (-want +got):\n%s", d)
	}
}

// A driver that is installed and not loaded, while nouveau holds the card.
func TestGPUWithNouveau(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.pci("0000:3b:00.0", "10de", "15f9", "030200", "-1", "nouveau")
	s.write(map[string]string{
		"/sys/module/nouveau/refcnt":                               "1\n",
		"/lib/modules/6.1.0-25-amd64/modules.dep":                  "kernel/drivers/gpu/drm/nouveau/nouveau.ko:\nupdates/dkms/nvidia-uvm.ko:\nupdates/dkms/nvidia.ko:\n",
		"/lib/modules/6.1.0-25-amd64/updates/dkms/nvidia.ko":       module("license=Dual MIT/GPL", "version=595.91.07"),
		"/proc/driver/nvidia/gpus/0000:3b:00.0/information.broken": "x",
	})
	f := s.facts()
	want := facts.NVIDIA{Version: "595.91.07", Flavour: "open", ModuleFile: "/lib/modules/6.1.0-25-amd64/updates/dkms/nvidia.ko", Nouveau: true}
	if d := cmp.Diff(want, f.NVIDIA); d != "" {
		t.Errorf("NVIDIA (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.GPU{{Address: "0000:3b:00.0", Vendor: "10de", Device: "15f9", Class: "0302", Model: "Tesla P100-SXM2-16GB", Driver: "nouveau"}}, f.GPUs); d != "" {
		t.Errorf("GPUs (-want +got):\n%s", d)
	}
}

// module makes the least ELF file that has a .modinfo section.
func module(entries ...string) string {
	names := "\x00.modinfo\x00.shstrtab\x00"
	info := strings.Join(entries, "\x00") + "\x00"
	b := make([]byte, 64+3*64)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint64(b[40:], 64)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], 3)
	le.PutUint16(b[62:], 2)
	section := func(i int, name uint32, at, size int) {
		h := b[64+i*64:]
		le.PutUint32(h, name)
		le.PutUint64(h[24:], uint64(at))
		le.PutUint64(h[32:], uint64(size))
	}
	section(1, 1, len(b), len(info))
	section(2, 10, len(b)+len(info), len(names))
	return string(b) + info + names
}

// A virtual machine with memory nodes, huge pages, a bonded card and IPv6.
func TestVirtualMachine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.link("/sys/class/net/eth0", "../../devices/pci0000:00/0000:00:03.0/net/eth0")
	s.link("/sys/devices/pci0000:00/0000:00:03.0/net/eth0/device", "../..")
	s.link("/sys/devices/pci0000:00/0000:00:03.0/net/eth0/master", "../bond0")
	s.link("/sys/devices/pci0000:00/0000:00:03.0/driver", "../../../bus/pci/drivers/ixgbe")
	eth, bond := "/sys/class/net/eth0/", "/sys/class/net/bond0/"
	s.write(map[string]string{
		"/sys/devices/pci0000:00/0000:00:03.0/numa_node":        "1\n",
		"/sys/devices/pci0000:00/0000:00:03.0/net/eth0/ifindex": "2\n",
		eth + "flags": "0x1003\n", eth + "address": "52:54:00:12:34:56\n", eth + "mtu": "9000\n", eth + "speed": "10000\n",
		bond + "flags": "0x1003\n", bond + "mtu": "9000\n", bond + "speed": "20000\n", bond + "uevent": "DEVTYPE=bond\nINTERFACE=bond0\n",
		"/sys/class/net/eth9/flags": "0x1002\n", "/sys/class/net/eth9/mtu": "1500\n", "/sys/class/net/eth9/speed": "-1\n", "/sys/class/net/eth9/device/x": "",
		"/sys/class/net/lo/flags": "0x9\n", "/sys/class/net/cni0/flags": "0x1002\n",
		"/proc/cpuinfo":                "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu hypervisor\nphysical id\t: 0\ncore id\t: 0\nprocessor\t: 1\nphysical id\t: 0\ncore id\t: 0\n",
		"/sys/class/dmi/id/sys_vendor": "VMware, Inc.\n", "/sys/class/dmi/id/product_name": "VMware7,1\n",
		"/sys/devices/system/node/node0/cpulist": "0-1\n", "/sys/devices/system/node/node0/meminfo": "Node 0 MemTotal:  1000 kB\nNode 0 MemFree: 10 kB\n",
		"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages":    "4\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":                    "4\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages":                  "1\n",
		"/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages":                 "0\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                               "always [madvise] never\n",
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		"/sys/kernel/security/lockdown":                                             "none [integrity] confidentiality\n",
		"/proc/net/ipv6_route":                                                      strings.Repeat("0", 32) + " 00 " + strings.Repeat("0", 32) + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     bond0\n",
	})
	f := s.facts()
	up := []facts.Interface{
		{Name: "bond0", MTU: 9000, Up: true, SpeedMbit: 20000, Kind: "bond"},
		{Name: "eth0", MAC: "52:54:00:12:34:56", MTU: 9000, Up: true, SpeedMbit: 10000, Driver: "ixgbe", Kind: "nic", Master: "bond0", NUMA: numa(1)},
	}
	if d := cmp.Diff(up, f.Interfaces); d != "" {
		t.Errorf("Interfaces (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.Interface{{Name: "eth9", MTU: 1500, Kind: "nic"}}, f.IdleInterfaces); d != "" {
		t.Errorf("IdleInterfaces (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.Route{{Interface: "eth0", Gateway: "10.0.0.1"}, {Interface: "bond0", Gateway: "fe80::1", Metric: 1024}}, f.DefaultRoutes); d != "" {
		t.Errorf("DefaultRoutes (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.Leftover{{Kind: "interface", Path: "cni0"}}, f.Leftovers); d != "" {
		t.Errorf("Leftovers (-want +got):\n%s", d)
	}
	wantCPU := facts.CPU{Model: "Xeon", Logical: 2, Sockets: 1, Cores: 1, NUMA: []facts.NUMANode{{CPUs: "0-1", Total: 1000 << 10, Free: 10 << 10, HugePages: []facts.HugePages{{Size: 2 << 20, Total: 4}}}}}
	if d := cmp.Diff(wantCPU, f.CPU); d != "" {
		t.Errorf("CPU (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]facts.HugePages{{Size: 2 << 20, Total: 4, Free: 1}}, f.Memory.HugePages); d != "" || f.Memory.TransparentHugePages != "madvise" {
		t.Errorf("HugePages, %q (-want +got):\n%s", f.Memory.TransparentHugePages, d)
	}
	if f.Virtual != "vmware" || f.Kernel.SecureBoot != "enabled" || f.Kernel.Lockdown != "integrity" {
		t.Errorf("Virtual %q, SecureBoot %q, Lockdown %q", f.Virtual, f.Kernel.SecureBoot, f.Kernel.Lockdown)
	}
}

// BenchmarkHadoop keeps a node of 24 disks well below 150 ms.
func BenchmarkHadoop(b *testing.B) {
	s := hadoop(b)
	for b.Loop() {
		s.facts()
	}
}

package brief_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/facts/brief"
)

var update = flag.Bool("update", false, "rewrite the expected output")

const gib = 1 << 30

func server() *facts.Host {
	h := &facts.Host{
		OS: facts.OS{Name: "Ubuntu 24.04", Systemd: 255}, Kernel: facts.Kernel{Release: "6.8.0", Arch: "amd64", Cgroup: 2, LSM: "apparmor", SecureBoot: "disabled"},
		Machine: facts.Machine{Vendor: "NVIDIA", Product: "DGX-2", Serial: "123"},
		CPU:     facts.CPU{Model: "Xeon 8168", Logical: 96, Cores: 48, Sockets: 2, NUMA: make([]facts.NUMANode, 2)},
		Memory:  facts.Memory{Total: 1536 * gib, Available: 1500*gib + gib/2, HugePages: []facts.HugePages{{Size: 2 << 20, Total: 512}}},
		Swap:    facts.Swap{Active: []facts.SwapArea{{Path: "/dev/zram0", Type: "partition", Kind: "zram", Size: 8 * gib}}, GPTAuto: []string{"/dev/sda2"}},
		Paths: []facts.PathSpace{
			{Path: "/", Mount: "/", Type: "ext4", Total: 800 * gib, Available: 700 * gib, Inodes: 100, InodesFree: 50}, {Path: "/tmp", Mount: "/", Total: 1},
			{Path: "/var/log", Mount: "/var", Type: "btrfs", Total: 100 * gib, Available: 1 << 20},
		},
		NVSwitches:       []string{"0000:5f:00.0", "0000:60:00.0"},
		NVIDIA:           facts.NVIDIA{Version: "580.65.06", Flavour: "proprietary", Loaded: true},
		DefaultInterface: "bond0",
		Interfaces: []facts.Interface{
			{Name: "bond0", Kind: "bond", MTU: 9000, SpeedMbit: 200000, Addresses: []string{"10.0.0.7/24"}},
			{Name: "eth0", Kind: "nic", Driver: "mlx5_core", MTU: 9000, SpeedMbit: 100000, Master: "bond0"}, {Name: "cali1", Kind: "veth"},
		},
		IdleInterfaces: []facts.Interface{{Name: "eth9", Driver: "igb"}},
		Resolver: facts.Resolver{Servers: []string{"127.0.0.53"}, Upstreams: []string{"10.0.0.2"}, Stub: "systemd-resolved", Search: []string{"lan"}, Answers: []facts.DNSAnswer{
			{Server: "127.0.0.53", Code: "NOERROR", Millis: 4}, {Server: "127.0.0.53", Code: "NXDOMAIN", Millis: 0.52}, {Server: "10.0.0.2", Error: "no answer within 1s"}}},
		Time:       facts.Time{Synced: true, MaxErrorMicros: 31500, Daemon: "chrony", DaemonActive: true, OffsetSeconds: -3.21, Sources: []facts.TimeSource{{Name: "10.0.0.1", State: "selected"}, {Name: "ntp.lan", State: "configured"}}},
		Firewall:   facts.Firewall{Managers: []string{"ufw"}, Tables: []string{"nft ip filter"}, InputDrop: true},
		Containerd: facts.Containerd{Version: "v2.4.2", Active: true}, Conflicts: []facts.Conflict{{Name: "docker"}},
		Locate:    facts.Locate{Program: "plocate", Active: true, PrunePaths: []string{"/tmp"}},
		Leftovers: []facts.Leftover{{Kind: "docker", Path: "/var/lib/docker"}, {Kind: "docker", Path: "/etc/docker"}, {Kind: "cni", Ours: true}},
	}
	for i := range 16 {
		h.GPUs = append(h.GPUs, facts.GPU{Address: fmt.Sprint(i), Model: "Tesla V100-SXM3-32GB", Driver: "nvidia"})
	}
	h.GPUs = append(h.GPUs, facts.GPU{Vendor: "10de", Device: "ffff"})
	for i := range 10 {
		h.Disks = append(h.Disks, facts.Disk{Name: fmt.Sprintf("nvme%dn1", i), Kind: "disk", Transport: "nvme", Model: "PM1733", Size: 3840755982336})
	}
	h.Disks = append(h.Disks,
		facts.Disk{Name: "sda", Kind: "disk", Transport: "sata", Size: 960 * gib, Rotational: true, Table: "gpt", Partitions: []facts.Partition{
			{Signatures: []facts.Signature{{Type: "vfat"}}}, {Signatures: []facts.Signature{{Type: "linux_raid_member"}}}}},
		facts.Disk{Name: "md0", Kind: "md", Level: "raid1", Size: 950 * gib, Signatures: []facts.Signature{{Type: "ext4"}}},
		facts.Disk{Name: "sdb", Kind: "disk", Size: gib, Unread: "no answer within 2s"}, facts.Disk{Name: "dm-0", Kind: "lvm", Size: gib})
	return h
}

func TestRows(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, h := range []*facts.Host{server(), {}} {
		for _, r := range brief.Rows(h) {
			b.WriteString(fmt.Sprintf("%-10s %s\n", r[0], r[1]))
		}
		b.WriteString("--\n")
	}
	const golden = "testdata/rows.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 3840755982336: "3.5 TiB", 256 << 30: "256 GiB", 1<<40 - 1: "1 TiB"} {
		if got := brief.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

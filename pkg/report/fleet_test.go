package report_test

import (
	"fmt"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/journal"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/report"
)

const (
	gib = 1 << 30
	tb  = 1_000_000_000_000
)

// site is a fleet of machines that differ as much as those of old clusters do.
func site(t *testing.T) report.Input {
	t.Helper()
	events, err := journal.Read("testdata/run.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return report.Input{
		Cluster: "site", Version: "v0.1.0", Made: time.Date(2026, 11, 23, 17, 30, 0, 0, time.UTC), Run: events,
		Hosts: []report.Host{
			{Name: "vm-cp", Address: "10.0.0.10", Roles: []string{"control-plane"}, Facts: vm()},
			{Name: "hadoop-07", Address: "10.0.1.7", Class: "hadoop", Roles: []string{"worker"}, Facts: hadoop()},
			{Name: "gpu-02", Address: "10.0.2.2", Class: "gpu-v100", Roles: []string{"worker"}, Facts: dgx()},
			{Name: "mem-01", Address: "10.0.3.1", Class: "in-memory", Roles: []string{"worker"}, Facts: inMemory()},
			{Name: "hadoop-08", Address: "10.0.1.8", Class: "hadoop", Roles: []string{"worker"}, Error: "dial 10.0.1.8:22: no route to host", Hint: "there is no route to 10.0.1.8: check the address, and whether a bastion is needed"},
		},
		Findings: []preflight.Finding{
			{Rule: "clock", Severity: preflight.Error, Host: "hadoop-07", Message: "the clock is 2.4 s behind the fleet's median", Hint: "start a time daemon: systemctl enable --now chrony"},
			{Rule: "cgroup-v1", Severity: preflight.Warning, Host: "hadoop-07", Message: "the host has cgroup v1, as the inventory allows", Hint: "plan to boot the host with systemd.unified_cgroup_hierarchy=1: a coming Kubernetes drops cgroup v1"},
			{Rule: "cgroup-v1", Severity: preflight.Warning, Host: "gpu-02", Message: "the host has cgroup v1, as the inventory allows", Hint: "plan to boot the host with systemd.unified_cgroup_hierarchy=1: a coming Kubernetes drops cgroup v1"},
			{Rule: "conflict", Severity: preflight.Warning, Host: "mem-01", Message: "firewalld is on (firewalld.service)", Hint: "open the ports of Kubernetes, or stop it: systemctl disable --now firewalld"},
		},
	}
}

func vm() *facts.Host {
	return &facts.Host{
		Virtual: "kvm", OS: facts.OS{Name: "Debian GNU/Linux 13 (trixie)"}, Kernel: facts.Kernel{Release: "6.12.48+deb13-amd64", Arch: "amd64"},
		CPU:    facts.CPU{Model: "AMD EPYC-Milan Processor", Logical: 4, Sockets: 1, Cores: 4},
		Memory: facts.Memory{Total: 16 * gib, Available: 13 * gib},
		Disks: []facts.Disk{
			{Name: "vda", Kind: "disk", Size: 64 * gib, Transport: "virtio", Partitions: []facts.Partition{{Name: "vda1", Mounts: []string{"/"}, Signatures: []facts.Signature{{Type: "ext4"}}}}},
			{Name: "loop0", Kind: "loop", Size: gib},
		},
		Interfaces:       []facts.Interface{{Name: "ens18", Up: true, MTU: 1500, Kind: "nic", Driver: "virtio_net", Addresses: []string{"10.0.0.10/24"}}, {Name: "cni0", Up: true, Kind: "bridge"}},
		DefaultInterface: "ens18",
	}
}

func hadoop() *facts.Host {
	h := &facts.Host{
		Machine: facts.Machine{Vendor: "Supermicro", Product: "SSG-6048R-E1CR24H"},
		OS:      facts.OS{Name: "Debian GNU/Linux 12 (bookworm)"}, Kernel: facts.Kernel{Release: "6.1.0-40-amd64", Arch: "amd64"},
		CPU:    facts.CPU{Model: "Intel(R) Xeon(R) CPU E5-2650 v4 @ 2.20GHz", Logical: 48, Sockets: 2, Cores: 24},
		Memory: facts.Memory{Total: 251 * gib, Available: 236 * gib},
		Interfaces: []facts.Interface{
			{Name: "bond0", Up: true, MTU: 9000, Kind: "bond", Addresses: []string{"10.0.1.7/24"}},
			{Name: "eno1", Up: true, MTU: 9000, SpeedMbit: 10000, Kind: "nic", Master: "bond0", Driver: "ixgbe"},
			{Name: "eno2", Up: true, MTU: 9000, SpeedMbit: 10000, Kind: "nic", Master: "bond0", Driver: "ixgbe"},
		},
		IdleInterfaces:   []facts.Interface{{Name: "enp3s0f0", MTU: 1500, Kind: "nic", Driver: "igb"}, {Name: "enp3s0f1", MTU: 1500, Kind: "nic", Driver: "igb"}},
		DefaultInterface: "bond0",
		GPUs:             []facts.GPU{{Address: "0000:08:00.0", Vendor: "1a03", Device: "2000", Class: "0300", Driver: "ast"}},
	}
	for i := range 24 {
		d := facts.Disk{Name: "sd" + string(rune('a'+i)), Kind: "disk", Vendor: "ATA", Model: "ST4000NM0033", Size: 4 * tb, Rotational: true, Transport: "sas"}
		if i < 20 {
			d.Signatures, d.Mounts = []facts.Signature{{Type: "ext4"}}, []string{fmt.Sprintf("/data/%02d", i+1)}
		}
		h.Disks = append(h.Disks, d)
	}
	for _, name := range []string{"sdy", "sdz"} {
		h.Disks = append(h.Disks, facts.Disk{Name: name, Kind: "disk", Model: "INTEL SSDSC2BB480G6", Size: 480_103_981_056, Transport: "sata", Table: "gpt",
			Partitions: []facts.Partition{{Name: name + "1", Holders: []string{"md0"}, Signatures: []facts.Signature{{Type: "linux_raid_member"}}}}})
	}
	h.Disks = append(h.Disks, facts.Disk{Name: "md0", Kind: "md", Size: 479_000_000_000, Level: "raid1"})
	return h
}

func dgx() *facts.Host {
	h := &facts.Host{
		Machine: facts.Machine{Vendor: "NVIDIA", Product: "DGX-1 with V100-32"},
		OS:      facts.OS{Name: "Ubuntu 24.04.3 LTS"}, Kernel: facts.Kernel{Release: "6.8.0-85-generic", Arch: "amd64"},
		CPU:    facts.CPU{Model: "Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz", Logical: 80, Sockets: 2, Cores: 40},
		Memory: facts.Memory{Total: 503 * gib, Available: 488 * gib},
		Interfaces: []facts.Interface{
			{Name: "enp1s0f0", Up: true, MTU: 1500, SpeedMbit: 10000, Kind: "nic", Addresses: []string{"10.0.2.2/24"}, Driver: "ixgbe"},
			{Name: "ib0", Up: true, MTU: 2044, SpeedMbit: 100000, Kind: "nic", Driver: "mlx5_core"},
			{Name: "ib1", Up: true, MTU: 2044, SpeedMbit: 100000, Kind: "nic", Driver: "mlx5_core"},
			{Name: "ib2", MTU: 2044, Kind: "nic", Driver: "mlx5_core"},
			{Name: "ib3", MTU: 2044, Kind: "nic", Driver: "mlx5_core"},
		},
		DefaultInterface: "enp1s0f0", NVSwitches: []string{"0000:5b:00.0", "0000:5c:00.0"},
		NVIDIA: facts.NVIDIA{Version: "580.95.05", Loaded: true},
	}
	for i := range 8 {
		h.GPUs = append(h.GPUs, facts.GPU{Address: fmt.Sprintf("0000:%02x:00.0", 6+i), Vendor: "10de", Device: "1db5", Class: "0302", Model: "Tesla V100-SXM2-32GB", Driver: "nvidia"})
	}
	for i := range 4 {
		h.Disks = append(h.Disks, facts.Disk{Name: "sd" + string(rune('b'+i)), Kind: "disk", Model: "SAMSUNG MZ7LM1T9", Size: 1_920_383_410_176, Transport: "sata"})
	}
	h.Disks = append(h.Disks, facts.Disk{Name: "nvme0n1", Kind: "disk", Model: "SAMSUNG MZVLB960", Size: 960_197_124_096, Transport: "nvme", Table: "gpt", Partitions: []facts.Partition{{Name: "nvme0n1p2", Mounts: []string{"/"}}}})
	return h
}

func inMemory() *facts.Host {
	h := &facts.Host{
		Machine: facts.Machine{Vendor: "Fujitsu", Product: "PRIMEQUEST 3800B"},
		OS:      facts.OS{Name: "Rocky Linux 9.6 (Blue Onyx)"}, Kernel: facts.Kernel{Release: "5.14.0-570.el9.x86_64", Arch: "amd64"},
		CPU:    facts.CPU{Model: "Intel(R) Xeon(R) Platinum 8180 CPU @ 2.50GHz", Logical: 448, Sockets: 8, Cores: 224},
		Memory: facts.Memory{Total: 6044 * gib, Available: 5980 * gib},
		Interfaces: []facts.Interface{
			{Name: "ens1f0", Up: true, MTU: 9000, SpeedMbit: 25000, Kind: "nic", Addresses: []string{"10.0.3.1/24"}, Driver: "i40e"},
			{Name: "ens1f1", Up: true, MTU: 9000, SpeedMbit: 25000, Kind: "nic", Driver: "i40e"},
		},
		DefaultInterface: "ens1f0",
	}
	for i := range 2 {
		h.Disks = append(h.Disks, facts.Disk{Name: fmt.Sprintf("nvme%dn1", i), Kind: "disk", Model: "INTEL SSDPE2KX040T8", Size: 4_000_787_030_016, Transport: "nvme", Table: "gpt",
			Partitions: []facts.Partition{{Name: fmt.Sprintf("nvme%dn1p1", i), Mounts: []string{[]string{"/", "/hana"}[i]}}}})
	}
	return h
}

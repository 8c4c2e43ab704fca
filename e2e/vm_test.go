//go:build e2e

package e2e

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/facts"
	kforgehost "kforge.dev/kforge/pkg/host"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/wire"
)

// vmLab is what only a virtual machine can show: a host with a kernel, clock,
// swap, modules and disks of its own, that boots again.
type vmLab struct {
	lab  *host.Lab
	host *host.Host
}

func (m vmLab) exec(ctx context.Context, t *testing.T, argv ...string) string {
	t.Helper()
	out, err := m.host.Exec(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (m vmLab) facts(ctx context.Context, t *testing.T) {
	var f *facts.Host
	m.with(ctx, t, wire.ReadOnly, func(h *kforgehost.Host) {
		var err error
		if f, err = h.Facts(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if release := m.exec(ctx, t, "uname", "-r"); f.Kernel.Release != release || f.Kernel.Cgroup != 2 {
		t.Errorf("kernel %s with cgroup v%d, want %s with v2", f.Kernel.Release, f.Kernel.Cgroup, release)
	}
	if f.Virtual != "uml" || f.OS.Systemd == 0 || f.CPU.Logical != 1 || f.Hostname != m.host.Name {
		t.Errorf("virtual %q, systemd %d, %d CPUs, name %q", f.Virtual, f.OS.Systemd, f.CPU.Logical, f.Hostname)
	}
	if ahead := time.Until(time.Unix(int64(f.Time.Unix), 0)); ahead < 50*time.Minute || ahead > 70*time.Minute {
		t.Errorf("the clock is %s ahead, want an hour", ahead)
	}
	var active []string
	for _, a := range f.Swap.Active {
		active = append(active, a.Path)
	}
	slices.Sort(active)
	if want := []string{"/dev/ubdb1", "/dev/zram0", "/swapfile", "/swapunit"}; !slices.Equal(active, want) {
		t.Errorf("swap on %q, want %q", active, want)
	}
	if len(f.Swap.Fstab) != 2 || !slices.Contains(f.Swap.Units, "swapunit.swap") {
		t.Errorf("swap at boot: fstab %q, units %q", f.Swap.Fstab, f.Swap.Units)
	}
	signatures := map[string]string{}
	for _, d := range f.Disks {
		for _, s := range d.Signatures {
			signatures[d.Path] = s.Type + " " + s.Label
		}
		for _, p := range d.Partitions {
			for _, s := range p.Signatures {
				signatures[p.Path] = s.Type
			}
		}
	}
	if signatures["/dev/ubdb1"] != "swap" || signatures["/dev/ubdc"] != "ext4 somebodys" {
		t.Errorf("signatures on disks: %q", signatures)
	}
}

const vmSysctl = "vm.max_map_count"

// vmResources are swap off, and what has to be there again after a boot.
func vmResources() []spec.Resource {
	return []spec.Resource{
		{ID: "modules", Modules: &spec.Modules{Path: "/etc/modules-load.d/kforge.conf", Names: []string{"overlay", "br_netfilter", "ip_vs"}}},
		{ID: "sysctl", Sysctl: &spec.Sysctl{Path: "/etc/sysctl.d/99-kforge.conf", Values: map[string]string{
			"net.bridge.bridge-nf-call-iptables": "1", "net.ipv4.ip_forward": "1", vmSysctl: "262144",
		}}},
		{ID: "swap", Swap: &spec.Swap{Off: true}},
	}
}

func (m vmLab) apply(ctx context.Context, t *testing.T) {
	m.with(ctx, t, wire.ReadWrite, func(h *kforgehost.Host) {
		changes, err := h.Apply(ctx, wire.Apply{Resources: vmResources(), Run: "vm", Version: "test"}, nil)
		if err != nil || len(changes) == 0 {
			t.Fatalf("Apply() = %v, %v", changes, err)
		}
	})
	m.settled(ctx, t)
}

// settled wants swap off and nothing left to change.
func (m vmLab) settled(ctx context.Context, t *testing.T) {
	t.Helper()
	m.with(ctx, t, wire.ReadOnly, func(h *kforgehost.Host) {
		changes, err := h.Plan(ctx, vmResources())
		if err != nil || len(changes) != 0 {
			t.Errorf("Plan() = %+v, %v, want no change", changes, err)
		}
	})
	if swaps := m.exec(ctx, t, "cat", "/proc/swaps"); strings.Contains(swaps, "\n") {
		t.Errorf("swap is on:\n%s", swaps)
	}
}

// reboot wants what apply did to hold when the machine boots again.
func (m vmLab) reboot(ctx context.Context, t *testing.T) {
	before := m.exec(ctx, t, "cat", "/proc/sys/kernel/random/boot_id")
	if err := m.host.Reboot(ctx); err != nil {
		t.Fatal(err)
	}
	if after := m.exec(ctx, t, "cat", "/proc/sys/kernel/random/boot_id"); after == before {
		t.Fatal("the host did not boot again")
	}
	m.holds(ctx, t)
}

func (m vmLab) holds(ctx context.Context, t *testing.T) {
	m.settled(ctx, t)
	if got := m.exec(ctx, t, "sysctl", "-n", vmSysctl); got != "262144" {
		t.Errorf("%s = %s", vmSysctl, got)
	}
	if loaded := m.exec(ctx, t, "cat", "/proc/modules"); !strings.Contains(loaded, "ip_vs ") {
		t.Errorf("ip_vs is not loaded:\n%s", loaded)
	}
	if kept := m.exec(ctx, t, "cat", "/etc/fstab.kforge-orig"); !strings.Contains(kept, "/swapfile none swap") {
		t.Errorf("what was in fstab is not kept:\n%s", kept)
	}
	if disk := m.exec(ctx, t, "blkid", "-s", "LABEL", "-o", "value", "/dev/ubdc"); disk != "somebodys" {
		t.Errorf("somebody's file system is %q", disk)
	}
}

// with starts the agent on the machine for the time of do.
func (m vmLab) with(ctx context.Context, t *testing.T, mode wire.Mode, do func(*kforgehost.Host)) {
	t.Helper()
	dialer, err := ssh.NewDialer(ssh.Config{
		IdentityFiles: []string{m.lab.KeyFile()}, KnownHosts: m.lab.KnownHostsFile(), HostKeys: ssh.Strict,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer dialer.Close()
	h, err := kforgehost.Connect(ctx, kforgehost.Options{
		Dialer: dialer, Agents: agentbin.Embedded(), Mode: mode, StartTimeout: 2 * time.Minute,
		Lock: wire.Lock{User: "test", Machine: "test", PID: os.Getpid(), Run: "vm", Command: "test", Since: time.Now().UTC().Format(time.RFC3339)},
	}, ssh.Target{Name: m.host.Name, Address: m.host.Address, User: "kforge"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	do(h)
}

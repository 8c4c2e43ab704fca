//go:build e2e

package e2e

import (
	"testing"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/pkg/preflight"
)

// TestPlanted is what check is for. On a clean lab of containers and a virtual
// machine it finds nothing; of the faults that are planted it finds each, says
// where and what to do, and finds nothing else; it changes no file. In between
// the virtual machine is brought in order, boots again, and stays so.
func TestPlanted(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	ctx := t.Context()
	l := plantedLab(ctx, t)
	step(t, "a clean lab: nothing is found", func(t *testing.T) { l.clean(ctx, t) })

	l.plant(ctx, t, "n2", host.DNS, host.Containerd)
	l.plantBetween(ctx, t, "n2", host.MachineID, "n1")
	l.plantBetween(ctx, t, "n3", host.Port, "n2")
	l.plant(ctx, t, "n3", host.Var)
	l.plant(ctx, t, "v1", host.SwapPartition, host.SwapFile, host.SwapUnit, host.SwapZRAM, host.DiskExt4, host.ClockDaemon, host.DNSLoop)
	swap := found{preflight.Notice, "swap", "v1", []string{
		"/dev/ubdb1 (partition)", "/swapfile (file)", "/swapunit (file)", "/dev/zram0 (zram)",
		"comes back at boot", "UUID=", "swapunit.swap", "/etc/systemd/zram-generator.conf",
	}, "apply turns it off"}
	step(t, "what is wrong with hosts is found", func(t *testing.T) {
		l.finds(ctx, t, []found{
			{preflight.Warning, "dns-servers", "n2", []string{"no DNS server answers", "192.0.2.1"}, "port 53"},
			{preflight.Error, "foreign-containerd", "n2", []string{"/etc/containerd/config.toml", "/lib/systemd/system/containerd.service"}, "remove it"},
			{preflight.Warning, "machine-id", "", []string{"n1, n2 have the same machine-id"}, "systemd-machine-id-setup"},
			{preflight.Error, "ports", "n3", []string{"8472/udp", "the pod network", "from n2: no answer"}, "firewall"},
			{preflight.Error, "disk", "n3", []string{"/var has 0 MiB available"}, "free space"},
			{preflight.Warning, "time-sync", "v1", []string{"chrony does not run"}, "systemctl enable --now chrony"},
			{preflight.Warning, "resolver", "v1", []string{"127.0.0.1 (perl)", "does not tell who is behind it"}, "spec.dns.servers"},
			{preflight.Warning, "dns-servers", "v1", []string{"on the host itself has no answers", "127.0.0.1"}, "ss -lunp"},
			swap,
		})
	})

	l.heal(ctx, t, "n2", host.DNS, host.Containerd, host.MachineID)
	l.heal(ctx, t, "n3", host.Port, host.Var)
	l.heal(ctx, t, "v1", host.ClockDaemon, host.DNSLoop)
	l.plant(ctx, t, "n3", host.LinkMTU)
	l.plant(ctx, t, "v1", host.ClockAhead)
	step(t, "a wrong clock and a small link are found", func(t *testing.T) {
		want := []found{
			{preflight.Error, "clock", "v1", []string{"off the median of the hosts", "chrony is there and does not run"}, "chronyc makestep"}, // facts have the hour
			{preflight.Warning, "time-sync", "v1", []string{"chrony does not run"}, "systemctl enable --now chrony"},
			swap,
		}
		for _, other := range []string{"n1", "n2", "v1"} {
			want = append(want,
				found{preflight.Error, "path-mtu", other, []string{"packets to n3 get through with at most 140", "the interface takes 1500"}, "network.cni.mtu: 135"},
				found{preflight.Error, "path-mtu", "n3", []string{"packets to " + other + " get through with at most 140"}, "network.cni.mtu: 135"})
		}
		l.finds(ctx, t, want)
	})
	step(t, "facts tell of the machine's kernel, clock, swap and disks", func(t *testing.T) { l.vm.facts(ctx, t) })

	l.heal(ctx, t, "n3", host.LinkMTU)
	l.heal(ctx, t, "v1", host.ClockAhead)
	step(t, "swap of every kind goes off, modules and sysctls come", func(t *testing.T) { l.vm.apply(ctx, t) })
	step(t, "all of it holds after a reboot", func(t *testing.T) { l.vm.reboot(ctx, t) })
	l.heal(ctx, t, "v1", host.DiskExt4)
	step(t, "the lab is clean again", func(t *testing.T) { l.clean(ctx, t) })
}

// found is a finding that is wanted: its evidence and a part of its remedy.
type found struct {
	severity   preflight.Severity
	rule, host string
	says       []string
	remedy     string
}

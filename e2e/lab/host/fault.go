package host

import (
	"context"
	"fmt"
	"sort"
	"strings"
)

// Fault is something that goes wrong on hosts.
type Fault string

// The faults of the lab.
const (
	Power       Fault = "kill"         // the power is cut
	Net         Fault = "net"          // the cable is pulled
	Disk        Fault = "disk"         // /var/lib/kforge is full
	ClockDaemon Fault = "clock-daemon" // chrony is stopped
	DNS         Fault = "dns"          // resolv.conf names a server that is not there
	Sudo        Fault = "sudo"         // user kforge may not use sudo
	SSHD        Fault = "sshd"         // sshd is stopped; sessions live on
	HostKey     Fault = "hostkey"      // the host shows another key than known_hosts says
	Containerd  Fault = "containerd"   // somebody else's containerd is configured
)

// fault is how to break a host and how to heal it.
type fault struct {
	breakIt func(ctx context.Context, h *Host) error
	heal    func(ctx context.Context, h *Host) error
}

func scripts(breakIt, heal string) fault {
	return fault{
		breakIt: func(ctx context.Context, h *Host) error { return h.script(ctx, breakIt) },
		heal:    func(ctx context.Context, h *Host) error { return h.script(ctx, heal) },
	}
}

var faults = map[Fault]fault{
	Power: {
		breakIt: func(ctx context.Context, h *Host) error { return h.Kill(ctx) },
		heal:    func(ctx context.Context, h *Host) error { return h.Start(ctx) },
	},
	Net: {
		breakIt: func(ctx context.Context, h *Host) error { return h.machine.Cable(ctx, "down") },
		heal:    func(ctx context.Context, h *Host) error { return h.machine.Cable(ctx, "up") },
	},
	Disk: scripts(
		`mkdir -p /var/lib/kforge
		mount -t tmpfs -o size=64k,mode=0755 full /var/lib/kforge
		dd if=/dev/zero of=/var/lib/kforge/filler bs=4k 2>/dev/null || true`,
		`umount /var/lib/kforge`),
	ClockDaemon: scripts(`systemctl stop chrony`, `systemctl start chrony`),
	// Docker mounts the file, so it can be rewritten but not replaced.
	DNS: scripts(
		`cp /etc/resolv.conf /run/resolv.conf.healthy; echo nameserver 192.0.2.1 >/etc/resolv.conf`,
		`cat /run/resolv.conf.healthy >/etc/resolv.conf; rm /run/resolv.conf.healthy`),
	// sudo skips files with a dot in their name.
	Sudo: scripts(`mv /etc/sudoers.d/kforge /etc/sudoers.d/kforge.off`, `mv /etc/sudoers.d/kforge.off /etc/sudoers.d/kforge`),
	SSHD: scripts(`systemctl stop ssh`, `systemctl start ssh`),
	HostKey: {
		breakIt: func(ctx context.Context, h *Host) error {
			return h.script(ctx, `rm -f /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
				systemctl restart ssh`)
		},
		heal: func(ctx context.Context, h *Host) error {
			key, err := ensureKey(h.lab.hostKeyFile(h.Name), h.Name)
			if err != nil {
				return err
			}
			if err := h.machine.Put(ctx, hostKeyFiles(key)); err != nil {
				return err
			}
			return h.script(ctx, `systemctl restart ssh`)
		},
	},
	Containerd: scripts(
		`for f in /etc/containerd/config.toml /lib/systemd/system/containerd.service; do
			if [ -e $f ]; then echo "$f is there already" >&2; exit 1; fi
		done
		mkdir -p /etc/containerd
		cat >/etc/containerd/config.toml <<-'END'
		# Written by hand. Ask the storage team before changing anything.
		version = 2
		[plugins."io.containerd.grpc.v1.cri".containerd]
		default_runtime_name = "site"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.site]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.site.options]
		BinaryName = "/opt/site/bin/site-runtime"
		END
		cat >/lib/systemd/system/containerd.service <<-'END'
		[Unit]
		Description=containerd of the site
		[Service]
		ExecStart=/opt/site/bin/containerd
		[Install]
		WantedBy=multi-user.target
		END
		systemctl daemon-reload`,
		`if ! grep -q '^# Written by hand. Ask the storage team' /etc/containerd/config.toml; then
			echo "/etc/containerd/config.toml is not the one of this fault" >&2; exit 1
		fi
		rm /etc/containerd/config.toml /lib/systemd/system/containerd.service
		rmdir --ignore-fail-on-non-empty /etc/containerd
		systemctl daemon-reload`),
}

// Faults lists the names of all faults.
func Faults() []string {
	var names []string
	for f := range faults {
		names = append(names, string(f))
	}
	for f := range machineFaults {
		names = append(names, string(f))
	}
	sort.Strings(names)
	return names
}

// Break brings the fault about.
func (h *Host) Break(ctx context.Context, f Fault) error {
	return h.fault("breaking", f, func(known fault) error { return known.breakIt(ctx, h) })
}

// Heal takes the fault away.
func (h *Host) Heal(ctx context.Context, f Fault) error {
	return h.fault("healing", f, func(known fault) error { return known.heal(ctx, h) })
}

func (h *Host) fault(verb string, f Fault, do func(fault) error) error {
	known, ok := faults[f]
	if m, own := machineFaults[f]; own {
		if !h.machine.OwnKernel() {
			return fmt.Errorf("%s %s: %s needs a host with a kernel of its own (lab vm up)", verb, h.Name, f)
		}
		known, ok = m, true
	}
	if !ok {
		return fmt.Errorf("%s %s: unknown fault %q (known: %s)", verb, h.Name, f, strings.Join(Faults(), " "))
	}
	if err := do(known); err != nil {
		return fmt.Errorf("%s %s of %s: %w", verb, f, h.Name, err)
	}
	return nil
}

package host

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"kforge.dev/kforge/e2e/lab/proc"
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
	Var         Fault = "var"          // /var is full
	DNSLoop     Fault = "dns-loop"     // resolv.conf names a resolver on the host that asks itself
	LinkMTU     Fault = "link-mtu"     // the link carries 1400 bytes and the host does not know
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
	// What daemons have open stays below.
	Var: scripts(
		`if mountpoint -q /var && grep -q '^full /var ' /proc/mounts; then echo "/var is full already" >&2; exit 1; fi
		mkdir -p /run/full
		mount -t tmpfs -o mode=0755,size=$(($(du -sxk /var | cut -f1) + 2048))k full /run/full
		cp -ax /var/. /run/full/
		dd if=/dev/zero of=/run/full/filler bs=4k 2>/dev/null || true
		mount --bind /run/full /var
		umount /run/full`,
		`umount --lazy /var; rmdir /run/full`),
	// The resolver hands each question to whom resolv.conf names, which is itself, and says SERVFAIL when no answer comes. It
	// waits for one answer at a time, so that the circle stays slow.
	DNSLoop: scripts(
		`cat >/run/lab-resolver.pl <<-'END'
		use Socket;
		my $self = pack_sockaddr_in(53, inet_aton("127.0.0.1"));
		socket(my $in, PF_INET, SOCK_DGRAM, 0) or die "opening: $!";
		bind($in, $self) or die "binding: $!";
		while (defined(my $from = recv($in, my $question, 4096, 0))) {
			socket(my $out, PF_INET, SOCK_DGRAM, 0) or die "asking: $!";
			send($out, $question, 0, $self);
			vec(my $ready = "", fileno($out), 1) = 1;
			my $answer = $question;
			if (select($ready, undef, undef, 2)) { recv($out, $answer, 4096, 0) } else { substr($answer, 2, 2) = "\x81\x82" }
			send($in, $answer, 0, $from);
		}
		END
		systemd-run --quiet --unit=lab-resolver perl /run/lab-resolver.pl
		cp /etc/resolv.conf /run/resolv.conf.asked
		echo nameserver 127.0.0.1 >/etc/resolv.conf`,
		`cat /run/resolv.conf.asked >/etc/resolv.conf; rm /run/resolv.conf.asked
		systemctl stop lab-resolver; rm /run/lab-resolver.pl`),
	// In the middle, as at a switch: the host's own interface says 1500.
	LinkMTU: {
		breakIt: func(ctx context.Context, h *Host) error { return h.linkMTU(ctx, "1400") },
		heal:    func(ctx context.Context, h *Host) error { return h.linkMTU(ctx, "1500") },
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
	for f := range peerFaults {
		names = append(names, string(f))
	}
	sort.Strings(names)
	return names
}

// Break brings the fault about. A fault between two hosts wants the other one as its peer, and no other fault does.
func (h *Host) Break(ctx context.Context, f Fault, peers ...*Host) error {
	between, ok := peerFaults[f]
	switch {
	case !ok && len(peers) == 0:
		return h.fault("breaking", f, func(known fault) error { return known.breakIt(ctx, h) })
	case !ok:
		return fmt.Errorf("breaking %s: %s is no fault between two hosts", h.Name, f)
	case len(peers) != 1 || peers[0].Name == h.Name:
		return fmt.Errorf("breaking %s: %s is between two hosts: name another one", h.Name, f)
	}
	if err := between.breakIt(ctx, h, peers[0]); err != nil {
		return fmt.Errorf("breaking %s of %s: %w", f, h.Name, err)
	}
	return nil
}

// linkMTU sets what the other end of the host's network link carries.
func (h *Host) linkMTU(ctx context.Context, bytes string) error {
	link, err := h.machine.Link(ctx)
	if err != nil {
		return err
	}
	return proc.Run(ctx, "ip", "link", "set", "dev", link, "mtu", bytes)
}

// Heal takes the fault away.
func (h *Host) Heal(ctx context.Context, f Fault) error {
	return h.fault("healing", f, func(known fault) error { return known.heal(ctx, h) })
}

func (h *Host) fault(verb string, f Fault, do func(fault) error) error {
	known, ok := faults[f]
	if between, is := peerFaults[f]; is {
		known, ok = fault{heal: between.heal}, true
	}
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

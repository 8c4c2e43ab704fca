package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/e2e/lab/proc"
)

// rootfs is the recipe of a Debian root file system, kept as root.tar.
type rootfs struct {
	Name     string
	Variant  string // of mmdebstrap: minbase has apt, essential has not
	Suite    string
	Packages []string
	Files    map[string]string `json:",omitempty"` // absolute path to content; put there executable
	Commands []string          // run by the shell of the root file system at the end
}

// hostRoot is a bare server: nothing of Kubernetes or containerd is on it, and no surprise of the container it will run in is
// smoothed over, because dealing with those is the work of what is tested here.
var hostRoot = rootfs{
	Name: "host-root", Variant: "minbase", Suite: "bookworm",
	Packages: []string{
		"systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "iptables", "nftables", "kmod", "conntrack",
		"ethtool", "socat", "ca-certificates", "chrony",
	},
	Files: map[string]string{"/usr/local/sbin/host-init": hostInit},
	Commands: []string{
		"useradd --create-home --shell /bin/bash kforge",
		"useradd --create-home --shell /bin/bash asks",
		"echo asks:asks | chpasswd",
		"echo 'kforge ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/kforge",
		"echo 'asks ALL=(ALL) ALL' >/etc/sudoers.d/asks",
		"chmod 0440 /etc/sudoers.d/kforge /etc/sudoers.d/asks",
		// Every host gets its own identity when it is made; one baked into the image would be shared by all.
		"rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id",
		": >/etc/machine-id",
		// Timers that would change files behind a test's back.
		"systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer",
		"rm -rf /var/cache/apt/* /var/lib/apt/lists/*",
	},
}

// vmRoot is the same server with what a machine has and a container has not: a device manager, tools for disks, swap on zram.
var vmRoot = rootfs{
	Name: "vm-root", Variant: hostRoot.Variant, Suite: hostRoot.Suite,
	Packages: append(slices.Clone(hostRoot.Packages), "udev", "fdisk", "lvm2", "systemd-zram-generator"),
	Commands: append(slices.Clone(hostRoot.Commands),
		// Swap on zram comes from a fault, not from the package.
		"rm -f /etc/systemd/zram-generator.conf /usr/lib/systemd/zram-generator.conf",
		"systemctl mask systemd-networkd-wait-online",
		vmUnits,
		"systemctl enable systemd-networkd lab-door lab-cpuinfo",
	),
}

// vmUnits are the lab's own services in a virtual machine. The door is a second sshd with a key of its own, for what must work
// when the host's sshd does not. The kubelet wants a clock speed in /proc/cpuinfo, which User-mode Linux does not tell.
const vmUnits = `cat >/etc/systemd/system/lab-door.service <<'END'
[Unit]
Description=the lab's way in
After=network.target
[Service]
ExecStartPre=mkdir -p /run/sshd
ExecStart=/usr/sbin/sshd -D -f /dev/null -p 2222 -h /etc/ssh/lab_door_key -o PidFile=none -o PermitRootLogin=prohibit-password -o UsePAM=no -o UseDNS=no -o MaxStartups=100
Restart=always
[Install]
WantedBy=multi-user.target
END
mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\nRuntimeDirectoryPreserve=yes\n' >/etc/systemd/system/ssh.service.d/lab.conf
cat >/etc/systemd/system/lab-cpuinfo.service <<'END'
[Unit]
Description=a clock speed in /proc/cpuinfo
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sed "/^model name/acpu MHz\t\t: 2000.000" /proc/cpuinfo >/run/cpuinfo; mount --bind /run/cpuinfo /proc/cpuinfo'
[Install]
WantedBy=sysinit.target
END`

// hostInit makes a container fit for systemd, which then takes over as process 1.
const hostInit = `#!/bin/sh
# Docker mounts these read-only; systemd and the kubelet own them on a host.
mount -o remount,rw,bind /sys
for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
	if mountpoint -q "$dir"; then mount -o remount,rw,bind "$dir"; fi
done
mount --make-rshared /
if ! [ -s /etc/machine-id ]; then tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; fi
exec /lib/systemd/systemd
`

// netRoot lies under the images of kube-proxy and flannel: what they run to program the kernel.
var netRoot = rootfs{
	Name: "net-root", Variant: "essential", Suite: "bookworm",
	Packages: []string{"iptables", "nftables", "iproute2", "conntrack", "kmod", "ca-certificates"},
	Commands: []string{"rm -rf /usr/share/zoneinfo /usr/share/perl5 /var/cache/* /var/log/* /var/lib/apt"},
}

// proxyRoot is the root of the load balancer's image. HAProxy comes from Debian 13,
// whose release is a long-term one that the official image has too.
var proxyRoot = rootfs{
	Name: "proxy-root", Variant: "essential", Suite: "trixie",
	Packages: []string{"haproxy"},
	Commands: []string{"rm -rf /usr/share/zoneinfo /usr/share/perl5 /usr/lib/*/perl-base /usr/bin/perl* /var/cache/* /var/log/* /var/lib/apt /usr/share/doc"},
}

// HostRoot builds the root file system of hosts alone, and gives its directory and key.
func HostRoot(ctx context.Context, store *Store) (dir, key string, err error) {
	dir, err = store.Ensure(ctx, hostRoot.key(), hostRoot.build)
	return dir, hostRoot.key().String(), err
}

func (r rootfs) key() Key { return Key{Name: r.Name, Version: r.Suite, Recipe: r} }

// build fills dir with root.tar.
func (r rootfs) build(ctx context.Context, dir string) error {
	// Without fsync: a build that is cut off is made anew.
	args := []string{"mmdebstrap", "--quiet", "--dpkgopt=force-unsafe-io", "--variant=" + r.Variant, "--include=" + strings.Join(r.Packages, ",")}
	for _, part := range []string{"doc", "man", "info", "locale", "lintian"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+part+"/*")
	}
	files, err := os.MkdirTemp("", "kforge-lab-files-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(files)
	for name, content := range r.Files {
		local := filepath.Join(files, filepath.Base(name))
		if err := os.WriteFile(local, []byte(content), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		args = append(args, fmt.Sprintf("--customize-hook=upload %s %s", local, name), `--customize-hook=chmod 0755 "$1"`+name)
	}
	if len(r.Commands) > 0 {
		script := filepath.Join(files, "customize")
		text := "#!/bin/sh\nset -eu\n" + strings.Join(r.Commands, "\n") + "\n"
		if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
			return fmt.Errorf("writing the customize script: %w", err)
		}
		args = append(args, fmt.Sprintf(`--customize-hook=chroot "$1" sh -s <%s`, script))
	}
	args = append(args, r.Suite, filepath.Join(dir, "root.tar"))
	return proc.Run(ctx, args...)
}

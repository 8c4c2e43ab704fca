package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kforge.dev/kforge/e2e/lab/proc"
)

// boxRoot is the root file system of a host with what Vagrant and a machine need: a stock kernel, an address by DHCP, the user
// vagrant, keys of its own at the first boot.
var boxRoot = rootfs{
	Name: "box-root", Variant: hostRoot.Variant, Suite: hostRoot.Suite,
	Packages: append(slices.Clone(hostRoot.Packages), "linux-image-amd64", "udev", "fdisk", "lvm2", "ifupdown", "isc-dhcp-client"),
	Commands: append(slices.Clone(hostRoot.Commands),
		"useradd --create-home --shell /bin/bash vagrant",
		"echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant; chmod 0440 /etc/sudoers.d/vagrant",
		`printf 'source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n' >/etc/network/interfaces`,
		"echo 'LABEL=root / ext4 errors=remount-ro 0 1' >/etc/fstab",
		"echo host >/etc/hostname; printf '127.0.0.1 localhost\n127.0.1.1 host\n' >/etc/hosts",
		boxUnit,
		"systemctl enable lab-hostkeys networking",
	),
}

const boxUnit = `cat >/etc/systemd/system/lab-hostkeys.service <<'END'
[Unit]
Description=host keys of this machine's own
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
END`

// Sizes of the box's disk: the boot partition begins at 1 MiB.
const (
	boxDisk = "20G"
	boxBoot = "256M"
	boxAt   = "257M" // of the root file system
)

// boxLoader is syslinux's configuration. The kernel lies beside it.
const boxLoader = `DEFAULT linux
PROMPT 0
LABEL linux
KERNEL vmlinuz
APPEND initrd=initrd.img root=LABEL=root rw net.ifnames=0 console=tty0 console=ttyS0
`

const boxMetadata = `{"provider": "libvirt", "format": "qcow2", "virtual_size": 20}
`

// boxVagrantfile is that of the box itself. It is of no use to copy whole folders into a host.
const boxVagrantfile = `Vagrant.configure("2") do |config|
  config.ssh.private_key_path = File.expand_path("../vagrant_private_key", __FILE__)
  config.vm.synced_folder ".", "/vagrant", disabled: true
  config.vm.provider(:libvirt) { |libvirt| libvirt.disk_bus = "virtio" }
end
`

// Box returns a Vagrant box for its provider libvirt: the hosts' root file system on a disk with a boot loader and Debian's
// kernel. The private key in it opens every host that is made of it; Vagrant gives the user vagrant another one of its own.
func Box(ctx context.Context, store *Store) (string, error) {
	root, err := store.Ensure(ctx, boxRoot.key(), boxRoot.build)
	if err != nil {
		return "", err
	}
	key := Key{Name: "box", Version: boxRoot.Suite, Recipe: []string{boxRoot.key().String(), boxScript, boxLoader, boxMetadata, boxVagrantfile}}
	dir, err := store.Ensure(ctx, key, func(ctx context.Context, dir string) error {
		return buildBox(ctx, filepath.Join(root, "root.tar"), dir)
	})
	return filepath.Join(dir, "kforge-lab.box"), err
}

// boxScript makes the disk without mounting anything: the boot partition by mtools, the root file system by mke2fs.
const boxScript = `cd "$1"
mkdir tree
tar --extract --file "$2" --directory tree --numeric-owner --xattrs --xattrs-include='*' --same-permissions
chmod 0755 tree
ssh-keygen -q -t rsa -b 3072 -m PEM -N '' -C kforge-lab -f vagrant_private_key
for user in root kforge asks vagrant; do
	home=$(chroot tree getent passwd "$user" | cut -d: -f6)
	install -d -m 0700 "tree$home/.ssh"
	install -m 0600 vagrant_private_key.pub "tree$home/.ssh/authorized_keys"
	chroot tree chown -R "$user:$user" "$home/.ssh"
done

truncate --size ` + boxDisk + ` disk
printf 'label: dos\nstart=1MiB, size=` + boxBoot + `, type=c, bootable\nstart=` + boxAt + `iB, type=83\n' | sfdisk --quiet disk
truncate --size ` + boxBoot + ` boot
mkfs.vfat -h 2048 -n BOOT boot >/dev/null
mcopy -i boot tree/boot/vmlinuz-* ::vmlinuz
mcopy -i boot tree/boot/initrd.img-* ::initrd.img
mcopy -i boot syslinux.cfg ::syslinux.cfg
syslinux --install boot
dd if=boot of=disk bs=1M seek=1 conv=notrunc,sparse status=none
dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk bs=440 count=1 conv=notrunc status=none
size=$(($(stat --format %s disk) / 1024 - 257 * 1024))
mke2fs -q -F -t ext4 -L root -E offset=$((257 * 1024 * 1024)) -d tree disk "${size}k"
qemu-img convert -c -O qcow2 disk box.img
tar --create --gzip --file kforge-lab.box metadata.json Vagrantfile vagrant_private_key box.img
rm -rf tree disk boot box.img syslinux.cfg metadata.json Vagrantfile vagrant_private_key.pub
`

// buildBox fills dir with kforge-lab.box and the key that opens its hosts.
func buildBox(ctx context.Context, rootTar, dir string) error {
	for name, content := range map[string]string{"syslinux.cfg": boxLoader, "metadata.json": boxMetadata, "Vagrantfile": boxVagrantfile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return proc.Run(ctx, "sh", "-euc", boxScript, "sh", dir, rootTar)
}

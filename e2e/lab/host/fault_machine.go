package host

// Faults of hosts that have a kernel of their own. In a container they would change this machine's clock and swap.
const (
	ClockAhead    Fault = "clock-ahead"    // the clock is an hour ahead and chrony is stopped
	SwapPartition Fault = "swap-partition" // a partition of the first raw disk, in fstab by UUID
	SwapFile      Fault = "swap-file"      // /swapfile, in fstab
	SwapUnit      Fault = "swap-unit"      // /swapunit, by a systemd unit
	SwapZRAM      Fault = "swap-zram"      // compressed memory, by zram-generator
	MTU           Fault = "mtu"            // the link carries 1280 bytes and no more
	DiskExt4      Fault = "disk-ext4"      // the last raw disk carries somebody's file system
	DiskLVM       Fault = "disk-lvm"       // the last raw disk is somebody's LVM volume group
)

// rawDisk is the start of a script: $disk is a raw disk, the first or the last one.
func rawDisk(which string) string {
	return `disk=$(ls -d /dev/ubd[b-z] | ` + which + ` -n 1)
		[ -n "$disk" ] || { echo "the host has no raw disk (lab vm up -disks 1x1G)" >&2; exit 1; }
		`
}

// empty ends a script when $disk carries something already.
const empty = `if [ -n "$(wipefs --noheadings --no-act "$disk")" ]; then echo "$disk is not empty" >&2; exit 1; fi
		`

var machineFaults = map[Fault]fault{
	ClockAhead: scripts(
		`systemctl stop chrony; date --set '+1 hour' >/dev/null`,
		// Whether chrony's sources answer is not known here.
		`date --set '-1 hour' >/dev/null; systemctl start chrony`),
	SwapPartition: scripts(
		rawDisk("head")+empty+`printf 'label: dos\n,128M,S\n' | sfdisk --quiet "$disk"
		udevadm settle
		mkswap "${disk}1" >/dev/null
		udevadm settle
		echo "UUID=$(blkid -s UUID -o value "${disk}1") none swap sw 0 0" >>/etc/fstab
		systemctl daemon-reload
		swapon "${disk}1"`,
		rawDisk("head")+`sed -i "/UUID=$(blkid -s UUID -o value "${disk}1")/d" /etc/fstab
		systemctl daemon-reload
		swapoff "${disk}1" 2>/dev/null || true
		wipefs --quiet --all "${disk}1" "$disk"
		blockdev --rereadpt "$disk"`),
	SwapFile: scripts(
		`dd if=/dev/zero of=/swapfile bs=1M count=64 status=none
		chmod 0600 /swapfile; mkswap /swapfile >/dev/null
		echo '/swapfile none swap defaults 0 0' >>/etc/fstab
		systemctl daemon-reload
		swapon /swapfile`,
		`sed -i '\|/swapfile |d' /etc/fstab
		systemctl daemon-reload
		swapoff /swapfile 2>/dev/null || true
		rm /swapfile`),
	SwapUnit: scripts(
		`dd if=/dev/zero of=/swapunit bs=1M count=64 status=none
		chmod 0600 /swapunit; mkswap /swapunit >/dev/null
		printf '[Swap]\nWhat=/swapunit\n[Install]\nWantedBy=swap.target\n' >/etc/systemd/system/swapunit.swap
		systemctl daemon-reload
		systemctl enable --quiet --now swapunit.swap`,
		`swapoff /swapunit 2>/dev/null || true
		rm -f /etc/systemd/system/swapunit.swap /etc/systemd/system/swap.target.wants/swapunit.swap /swapunit
		systemctl daemon-reload`),
	SwapZRAM: scripts(
		`printf '[zram0]\nzram-size = 64\n' >/etc/systemd/zram-generator.conf
		systemctl daemon-reload
		systemctl start dev-zram0.swap`,
		`swapoff /dev/zram0 2>/dev/null || true
		rm /etc/systemd/zram-generator.conf
		systemctl daemon-reload`),
	MTU: scripts(`ip link set dev vec0 mtu 1280`, `ip link set dev vec0 mtu 1500`),
	DiskExt4: scripts(
		rawDisk("tail")+empty+`mkfs.ext4 -q -L somebodys "$disk"; udevadm settle`,
		rawDisk("tail")+`wipefs --quiet --all "$disk"`),
	DiskLVM: scripts(
		rawDisk("tail")+empty+`vgcreate --quiet somebodys "$disk" >/dev/null; lvcreate --quiet --size 16M --name data somebodys >/dev/null`,
		rawDisk("tail")+`vgremove --quiet --force somebodys >/dev/null; pvremove --quiet "$disk" >/dev/null`),
}

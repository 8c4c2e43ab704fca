package facts

// Disk is a block device that is no partition. Sizes are bytes.
type Disk struct {
	Name string `json:"name"` // sda, nvme0n1, md0, dm-3
	Path string `json:"path"` // /dev/sda; /dev/mapper/NAME for mapped devices
	// Kind is disk, md, lvm, crypt, mpath, dm (another mapped device), loop,
	// rbd, nbd, drbd or bcache.
	Kind   string `json:"kind"`
	Model  string `json:"model,omitempty"`
	Vendor string `json:"vendor,omitempty"`
	Serial string `json:"serial,omitempty"`
	WWN    string `json:"wwn,omitempty"`
	// ByID are its stable names below /dev/disk/by-id, best first.
	ByID       []string `json:"byID,omitempty"`
	Size       uint64   `json:"size"`
	Rotational bool     `json:"rotational"`
	Removable  bool     `json:"removable,omitempty"`
	ReadOnly   bool     `json:"readOnly,omitempty"`
	// LogicalBlock and PhysicalBlock are sector sizes.
	LogicalBlock  int    `json:"logicalBlock,omitempty"`
	PhysicalBlock int    `json:"physicalBlock,omitempty"`
	Transport     string `json:"transport,omitempty"` // sata, sas, nvme, usb, virtio, iscsi, scsi
	// Level is that of an md set: raid1, raid6.
	Level string `json:"level,omitempty"`
	// Table is gpt or dos, "" when there is no partition table.
	Table      string      `json:"table,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
	// Signatures are what is found on the device itself; what could not be
	// read is told in Unread.
	Signatures []Signature `json:"signatures,omitempty"`
	Unread     string      `json:"unread,omitempty"`
	Mounts     []string    `json:"mounts,omitempty"`
	// Holders are devices made of this one: md0, dm-1. Parts are what a made
	// device is made of.
	Holders []string `json:"holders,omitempty"`
	Parts   []string `json:"parts,omitempty"`
}

// Partition is a part of a disk.
type Partition struct {
	Name   string `json:"name"` // sda1
	Path   string `json:"path"` // /dev/sda1
	Number int    `json:"number"`
	Start  uint64 `json:"start"` // bytes from the disk's beginning
	Size   uint64 `json:"size"`
	// Type is the partition type: a GUID in lower case, or 0x83.
	Type     string `json:"type,omitempty"`
	TypeName string `json:"typeName,omitempty"` // efi, swap, lvm, raid, linux ...
	Label    string `json:"label,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	// NoAuto is GPT's flag that forbids systemd to use it by its type alone.
	NoAuto     bool        `json:"noAuto,omitempty"`
	ByID       []string    `json:"byID,omitempty"`
	Signatures []Signature `json:"signatures,omitempty"`
	Unread     string      `json:"unread,omitempty"`
	Mounts     []string    `json:"mounts,omitempty"`
	Holders    []string    `json:"holders,omitempty"`
}

// Signature tells what lies on a device: a file system, a member of a set.
type Signature struct {
	// Type is as blkid says: ext4, xfs, btrfs, vfat, swap, LVM2_member,
	// linux_raid_member, crypto_LUKS, ceph_bluestore, zfs_member.
	Type  string `json:"type"`
	UUID  string `json:"uuid,omitempty"`
	Label string `json:"label,omitempty"`
}

// GPU is a graphics or compute card on the PCI bus (class 0300 or 0302).
type GPU struct {
	Address string `json:"address"` // 0000:3b:00.0
	Vendor  string `json:"vendor"`  // 10de
	Device  string `json:"device"`  // 1db1
	Class   string `json:"class"`   // 0300 VGA, 0302 3D controller
	// Model as the driver says, else by what is known of the PCI id, else "".
	Model string `json:"model,omitempty"`
	// Driver is the kernel driver that holds it: nvidia, nouveau, vfio-pci.
	Driver string `json:"driver,omitempty"`
	UUID   string `json:"uuid,omitempty"`
	NUMA   *int   `json:"numa,omitempty"` // nil when the host has one node or does not tell
}

// NVIDIA is what is there of NVIDIA's driver and its rival.
type NVIDIA struct {
	// Version of the loaded module, else of the one in /lib/modules.
	Version string `json:"version,omitempty"`
	Loaded  bool   `json:"loaded,omitempty"`
	// Flavour is open or proprietary, "" when unknown.
	Flavour string `json:"flavour,omitempty"`
	// ModuleFile is the module of the running kernel, "" when there is none.
	ModuleFile string `json:"moduleFile,omitempty"`
	// Nouveau is loaded: NVIDIA's driver cannot hold the card.
	Nouveau            bool `json:"nouveau,omitempty"`
	NouveauBlacklisted bool `json:"nouveauBlacklisted,omitempty"`
	// FabricManager runs: needed where there are NVSwitches.
	FabricManager bool   `json:"fabricManager,omitempty"`
	Toolkit       string `json:"toolkit,omitempty"` // path of nvidia-container-runtime
}

// Package facts holds plain structs of what a host is. They are filled by
// facts/collect on the host and only read elsewhere; there is no method that
// decides anything.
package facts

// Host is everything known of one host. Sizes are bytes, times are seconds
// unless a name says otherwise.
type Host struct {
	Hostname  string `json:"hostname"`
	MachineID string `json:"machineID"`
	BootID    string `json:"bootID"`
	// Machine is what the firmware says it is (/sys/class/dmi/id).
	Machine Machine `json:"machine"`
	// Virtual is "" on bare metal, else what the host runs in: kvm, vmware,
	// microsoft, xen, oracle, uml, amazon, vm (some hypervisor), docker, lxc,
	// systemd-nspawn, podman ...
	Virtual string `json:"virtual,omitempty"`

	OS     OS     `json:"os"`
	Kernel Kernel `json:"kernel"`
	CPU    CPU    `json:"cpu"`
	Memory Memory `json:"memory"`

	Interfaces []Interface `json:"interfaces"`
	// DefaultInterface carries the IPv4 default route, "" when there is none.
	DefaultInterface string `json:"defaultInterface"`
	// DefaultRoutes are those of both families, the best of each first.
	DefaultRoutes []Route `json:"defaultRoutes,omitempty"`
	// IdleInterfaces are network cards that are down.
	IdleInterfaces []Interface `json:"idleInterfaces,omitempty"`
	Resolver       Resolver    `json:"resolver"`
	Time           Time        `json:"time"`
	Swap           Swap        `json:"swap"`
	// Paths are file systems of paths that fill: /, /var/lib/kubelet,
	// /var/lib/containerd, /var/lib/etcd, /tmp, /var/log. A path that is not
	// there yet tells of its nearest parent.
	Paths []PathSpace `json:"paths"`

	// Disks are the block devices that hold or could hold data, by name; RAID
	// sets and mapped devices (LVM, LUKS, multipath) are among them.
	Disks []Disk `json:"disks,omitempty"`
	// GPUs are by PCI address; no driver is needed to see them.
	GPUs []GPU `json:"gpus,omitempty"`
	// NVSwitches are the PCI addresses of NVLink switches (10de, class 0680):
	// they need the fabric manager.
	NVSwitches []string `json:"nvSwitches,omitempty"`
	NVIDIA     NVIDIA   `json:"nvidia"`

	Containerd Containerd `json:"containerd"`
	Kubernetes Kubernetes `json:"kubernetes"`
	// Software of others that gets in the way: docker, crio, k3s, microk8s,
	// firewalld ... by name, with the unit or path seen.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	Listening []Listener `json:"listening,omitempty"`
	Firewall  Firewall   `json:"firewall"`
	// Leftovers of a cluster, container runtime or network that was, or is,
	// here.
	Leftovers []Leftover `json:"leftovers,omitempty"`
	// Locate is the file indexer, which reads every volume that is not pruned.
	Locate Locate `json:"locate"`
}

// OS is /etc/os-release and the init system.
type OS struct {
	ID        string   `json:"id"` // debian
	Like      []string `json:"like,omitempty"`
	Version   string   `json:"version"` // 12
	Name      string   `json:"name"`    // Debian GNU/Linux 12 (bookworm)
	Systemd   int      `json:"systemd"` // version, 0 when systemd is not PID 1
	Container string   `json:"container,omitempty"`
	// PackageManager installs software: apt-get, dnf, yum or zypper; "" when
	// none of these is there.
	PackageManager string `json:"packageManager,omitempty"`
}

// Kernel is the running kernel and what it lets us do.
type Kernel struct {
	Release string `json:"release"`
	Arch    string `json:"arch"` // as Go writes it: amd64, arm64
	// Cgroup is 1 (also for hybrid) or 2.
	Cgroup int `json:"cgroup"`
	// Caps are the effective capabilities of a root process, as the bits of
	// CapEff in /proc/self/status.
	Caps uint64 `json:"caps"`
	// OOMScoreAdjLowerable tells whether a process may lower its
	// oom_score_adj (needs CAP_SYS_RESOURCE).
	OOMScoreAdjLowerable bool `json:"oomScoreAdjLowerable"`
	// ConntrackWritable tells whether nf_conntrack_max can be set (only in the
	// first network namespace).
	ConntrackWritable bool     `json:"conntrackWritable"`
	KmsgReadable      bool     `json:"kmsgReadable"`
	Modules           []string `json:"modules,omitempty"` // loaded, sorted
	LSM               string   `json:"lsm,omitempty"`
	// Controllers of the second cgroup version's root: cpu, io, memory ...
	Controllers []string `json:"controllers,omitempty"`
	// SELinux is enforcing or permissive, "" when it is not there.
	SELinux  string `json:"selinux,omitempty"`
	AppArmor bool   `json:"appArmor,omitempty"`
	// SecureBoot is enabled or disabled, "" where there is no EFI to ask.
	SecureBoot string `json:"secureBoot,omitempty"`
	// Lockdown is none, integrity or confidentiality, "" when it is not there.
	Lockdown    string `json:"lockdown,omitempty"`
	CommandLine string `json:"commandLine,omitempty"`
}

// Machine is what the firmware says. UUID and Serial need root.
type Machine struct {
	Vendor  string `json:"vendor,omitempty"`
	Product string `json:"product,omitempty"`
	Serial  string `json:"serial,omitempty"`
	UUID    string `json:"uuid,omitempty"` // product_uuid, lower case
	BIOS    string `json:"bios,omitempty"` // version and date
}

// CPU counts what the scheduler may use.
type CPU struct {
	Model   string `json:"model"`
	Logical int    `json:"logical"`
	Sockets int    `json:"sockets"`
	// Cores are physical ones, 0 when the kernel does not tell.
	Cores int `json:"cores,omitempty"`
	// MaxMHz is the highest clock of the first core, 0 when unknown.
	MaxMHz int `json:"maxMHz,omitempty"`
	// NUMA nodes, also when there is only one; none where the kernel has none.
	NUMA []NUMANode `json:"numa,omitempty"`
}

// NUMANode is a memory node and its CPUs. Memory in bytes.
type NUMANode struct {
	ID        int         `json:"id"`
	CPUs      string      `json:"cpus"` // as the kernel lists them: 0-7,16-23
	Total     uint64      `json:"total"`
	Free      uint64      `json:"free"`
	HugePages []HugePages `json:"hugePages,omitempty"`
}

// HugePages are the pages of one size: Size in bytes, the rest in pages.
type HugePages struct {
	Size  uint64 `json:"size"`
	Total uint64 `json:"total"`
	Free  uint64 `json:"free"`
}

// Memory in bytes.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`
	// HugePages by size; sizes without pages are left out.
	HugePages []HugePages `json:"hugePages,omitempty"`
	// TransparentHugePages is always, madvise or never.
	TransparentHugePages string `json:"transparentHugePages,omitempty"`
}

// Interface is a network interface that is up.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	MTU       int      `json:"mtu"`
	Up        bool     `json:"up"`
	Addresses []string `json:"addresses,omitempty"` // CIDR: 10.0.0.1/24
	// SpeedMbit is the link's speed in Mbit/s, 0 when unknown or virtual.
	SpeedMbit int    `json:"speedMbit,omitempty"`
	Driver    string `json:"driver,omitempty"` // of the card: ixgbe, mlx5_core
	// Kind is nic for a card, else bond, bridge, vlan, vxlan, veth, tun, wireguard, virtual.
	Kind string `json:"kind,omitempty"`
	// Master is the bond or bridge that it belongs to.
	Master string `json:"master,omitempty"`
	NUMA   *int   `json:"numa,omitempty"` // node of the card
}

// Route is a default route.
type Route struct {
	Interface string `json:"interface"`
	Gateway   string `json:"gateway,omitempty"` // "" on a point-to-point link
	Metric    uint32 `json:"metric"`
}

// Resolver is who answers the host's name queries.
type Resolver struct {
	// Path is /etc/resolv.conf or what it links to.
	Path    string   `json:"path"`
	Servers []string `json:"servers"`
	Search  []string `json:"search,omitempty"`
	// Upstreams are the real servers behind a loopback stub, where the host
	// tells them, and UpstreamPath the file that lists them in resolv.conf
	// form (systemd-resolved, NetworkManager).
	Upstreams    []string `json:"upstreams,omitempty"`
	UpstreamPath string   `json:"upstreamPath,omitempty"`
	// Stub names who answers on loopback: systemd-resolved, dnsmasq, docker,
	// unbound ...; "" when nobody does, "unknown" when it does not tell.
	Stub    string   `json:"stub,omitempty"`
	Options []string `json:"options,omitempty"` // ndots:5 ...
	// Answers are those of every server and upstream, asked side by side.
	Answers []DNSAnswer `json:"answers,omitempty"`
}

// DNSAnswer is what one server says to one question within a second.
type DNSAnswer struct {
	Server string `json:"server"`
	// Question is the name and type: "node1. A", ". NS".
	Question string `json:"question"`
	// Code is NOERROR, NXDOMAIN, SERVFAIL, REFUSED ..., "" when nothing came.
	Code      string   `json:"code,omitempty"`
	Addresses []string `json:"addresses,omitempty"`
	Millis    float64  `json:"millis,omitempty"` // round trip
	Error     string   `json:"error,omitempty"`  // why there is no answer
}

// Time is the host's clock. Offset is filled by the admin's machine.
type Time struct {
	Unix float64 `json:"unix"` // the host's clock, halfway through the collection
	// TookSeconds is how long the collection took, which is no part of the
	// round trip.
	TookSeconds float64 `json:"tookSeconds,omitempty"`
	// Synced is the kernel's own word (adjtimex); MaxErrorMicros its bound.
	Synced         bool   `json:"synced"`
	MaxErrorMicros int64  `json:"maxErrorMicros"`
	Daemon         string `json:"daemon,omitempty"` // chrony, systemd-timesyncd, ntpsec, ntp
	DaemonActive   bool   `json:"daemonActive"`
	Unit           string `json:"unit,omitempty"` // of the daemon: chrony.service
	// DropIn is the file that time servers of ours would be in, "" where the
	// daemon's configuration reads no folder.
	DropIn string `json:"dropIn,omitempty"`
	// Configured are the servers and pools that its configuration names.
	Configured []string `json:"configured,omitempty"`
	// EstimatedErrorMicros is the kernel's estimate (adjtimex esterror).
	EstimatedErrorMicros int64 `json:"estimatedErrorMicros,omitempty"`
	// Sources as the daemon tells them, else as it is configured.
	Sources []TimeSource `json:"sources,omitempty"`
	// OffsetSeconds against the admin's machine, corrected by half the round
	// trip; RoundTripSeconds bounds its error.
	OffsetSeconds    float64 `json:"offsetSeconds"`
	RoundTripSeconds float64 `json:"roundTripSeconds"`
}

// TimeSource is a server, pool or clock that the time daemon knows.
type TimeSource struct {
	Name string `json:"name"`
	// State is selected, combined, candidate, unreachable, falseticker,
	// configured (known from the configuration only).
	State   string `json:"state"`
	Stratum int    `json:"stratum,omitempty"`
	// OffsetSeconds is the last measured offset of the host from the source.
	OffsetSeconds float64 `json:"offsetSeconds,omitempty"`
}

// Swap is active swap and what would bring it back at boot.
type Swap struct {
	Active []SwapArea `json:"active,omitempty"`
	Fstab  []string   `json:"fstab,omitempty"` // devices or files of swap lines
	Units  []string   `json:"units,omitempty"` // .swap units not masked, and zram generators
	// GPTAuto are partitions that systemd switches on at boot by their type
	// alone, with no line in any file: on the disk of the root file system.
	GPTAuto []string `json:"gptAuto,omitempty"`
	// Dormant are swap areas on disks that are not active, of whatever origin.
	Dormant []string `json:"dormant,omitempty"`
}

// SwapArea is a line of /proc/swaps, in bytes.
type SwapArea struct {
	Path string `json:"path"`
	Type string `json:"type"` // as the kernel says: partition, file
	Size uint64 `json:"size"`
	Used uint64 `json:"used"`
	// Kind is partition, file, zram or lvm.
	Kind string `json:"kind,omitempty"`
}

// PathSpace is the file system under a path, in bytes and inodes.
type PathSpace struct {
	Path       string   `json:"path"`
	Mount      string   `json:"mount"`
	Type       string   `json:"type"`
	Total      uint64   `json:"total"`
	Available  uint64   `json:"available"`
	Inodes     uint64   `json:"inodes"`
	InodesFree uint64   `json:"inodesFree"`
	Options    []string `json:"options,omitempty"` // mount options: noexec ...
	Device     string   `json:"device,omitempty"`  // what is mounted: /dev/sda2, overlay
}

// Containerd is what is there of containerd.
type Containerd struct {
	Version string `json:"version,omitempty"` // of the binary on PATH or /usr/local/bin
	Binary  string `json:"binary,omitempty"`
	Active  bool   `json:"active"`
	// Foreign lists config, unit or binary files that somebody else put there.
	Foreign []string `json:"foreign,omitempty"`
}

// Kubernetes is what is there of a node.
type Kubernetes struct {
	KubeletVersion string `json:"kubeletVersion,omitempty"`
	KubeletActive  bool   `json:"kubeletActive"`
	// AdminConf: /etc/kubernetes/admin.conf is there: a control plane.
	AdminConf bool `json:"adminConf"`
	// KubeletConf: /etc/kubernetes/kubelet.conf is there: joined.
	KubeletConf bool `json:"kubeletConf"`
	// Components are the images of the control plane's static pods by name
	// (kube-apiserver, etcd ...), as their manifests have them.
	Components map[string]string `json:"components,omitempty"`
	// Interrupted are ids of commands that began and never ended.
	Interrupted []string `json:"interrupted,omitempty"`
}

// Conflict is software of somebody else that gets in the way.
type Conflict struct {
	Name string `json:"name"`
	Seen string `json:"seen"` // unit or path
}

// Listener is a listening TCP or UDP socket.
type Listener struct {
	Proto   string `json:"proto"`
	Address string `json:"address"`
	Port    int    `json:"port"`
	Process string `json:"process,omitempty"`
}

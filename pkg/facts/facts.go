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

	OS     OS     `json:"os"`
	Kernel Kernel `json:"kernel"`
	CPU    CPU    `json:"cpu"`
	Memory Memory `json:"memory"`

	Interfaces []Interface `json:"interfaces"`
	// DefaultInterface carries the IPv4 default route, "" when there is none.
	DefaultInterface string   `json:"defaultInterface"`
	Resolver         Resolver `json:"resolver"`
	Time             Time     `json:"time"`
	Swap             Swap     `json:"swap"`
	// Paths are file systems of paths that fill: /, /var/lib/kubelet,
	// /var/lib/containerd, /var/lib/etcd, /tmp, /var/log. A path that is not
	// there yet tells of its nearest parent.
	Paths []PathSpace `json:"paths"`

	Containerd Containerd `json:"containerd"`
	Kubernetes Kubernetes `json:"kubernetes"`
	// Software of others that gets in the way: docker, crio, k3s, microk8s,
	// firewalld ... by name, with the unit or path seen.
	Conflicts []Conflict `json:"conflicts,omitempty"`
	Listening []Listener `json:"listening,omitempty"`
}

// OS is /etc/os-release and the init system.
type OS struct {
	ID        string   `json:"id"` // debian
	Like      []string `json:"like,omitempty"`
	Version   string   `json:"version"` // 12
	Name      string   `json:"name"`    // Debian GNU/Linux 12 (bookworm)
	Systemd   int      `json:"systemd"` // version, 0 when systemd is not PID 1
	Container string   `json:"container,omitempty"`
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
}

// CPU counts what the scheduler may use.
type CPU struct {
	Model   string `json:"model"`
	Logical int    `json:"logical"`
	Sockets int    `json:"sockets"`
}

// Memory in bytes.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`
}

// Interface is a network interface that is up.
type Interface struct {
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	MTU       int      `json:"mtu"`
	Up        bool     `json:"up"`
	Addresses []string `json:"addresses,omitempty"` // CIDR: 10.0.0.1/24
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
}

// Time is the host's clock. Offset is filled by the admin's machine.
type Time struct {
	Unix float64 `json:"unix"` // the host's clock when asked
	// Synced is the kernel's own word (adjtimex); MaxErrorMicros its bound.
	Synced         bool   `json:"synced"`
	MaxErrorMicros int64  `json:"maxErrorMicros"`
	Daemon         string `json:"daemon,omitempty"` // chrony, systemd-timesyncd, ntpsec, ntp
	DaemonActive   bool   `json:"daemonActive"`
	// OffsetSeconds against the admin's machine, corrected by half the round
	// trip; RoundTripSeconds bounds its error.
	OffsetSeconds    float64 `json:"offsetSeconds"`
	RoundTripSeconds float64 `json:"roundTripSeconds"`
}

// Swap is active swap and what would bring it back at boot.
type Swap struct {
	Active []SwapArea `json:"active,omitempty"`
	Fstab  []string   `json:"fstab,omitempty"` // devices or files of swap lines
	Units  []string   `json:"units,omitempty"` // .swap units not masked, and zram generators
}

// SwapArea is a line of /proc/swaps, in bytes.
type SwapArea struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Size uint64 `json:"size"`
	Used uint64 `json:"used"`
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

package spec

// Kinds of resources that take away what a host held. Each names what goes; none
// empties more than it names.

// Absent are paths that must not be there: files, and directories with all that
// is in them. The last element may be a pattern. Nothing on another file system
// is touched: a mount point inside is an error, and a path that is a mount point
// itself is emptied and stays.
type Absent struct {
	Paths []string `json:"paths"`
	// EmptyDirs go when nothing is in them; the order given counts.
	EmptyDirs []string `json:"emptyDirs,omitempty"`
}

// Owned is everything that the agent's records say kforge put on the host: it
// must not be there any more. What was kept aside when it was replaced is put
// back, and the records go last of all.
type Owned struct {
	// EmptyDirs go too when nothing is in them, before the records; the order given
	// counts. On a host without records they stay.
	EmptyDirs []string `json:"emptyDirs,omitempty"`
}

// Containers are the containers of a containerd namespace: none may run. Their
// processes and shims are killed, whether containerd answers or not. Those of a
// containerd inside a container are somebody else's.
type Containers struct {
	Namespace string `json:"namespace"`
	// Cgroups are control groups at the top of the tree whose processes go too:
	// "kubepods.slice".
	Cgroups []string `json:"cgroups,omitempty"`
}

// Unmounted tells which mounts must not be there: everything below these
// directories, but not they themselves. One that ends in "*" stands for every
// mount point that begins so.
type Unmounted struct {
	Below []string `json:"below"`
}

// NoLinks are network interfaces that must not be there, by name or pattern, with
// the virtual pairs that are ports of them, routes in the main table that lie
// inside RoutesIn, and addresses of interfaces that stay.
type NoLinks struct {
	Names     []string `json:"names"`
	RoutesIn  []string `json:"routesIn,omitempty"`  // 10.244.0.0/16
	Addresses []string `json:"addresses,omitempty"` // 10.0.0.100
}

// NoFilter names packet filter rules that must not be there: whole nftables
// tables ("ip kube-proxy"), and chains by pattern in the tables that iptables
// works on, with the rules of other chains that jump to them. A table that only
// held these is taken away too. No other rule is touched.
type NoFilter struct {
	Tables []string `json:"tables,omitempty"`
	Chains []string `json:"chains,omitempty"`
}

// Wiped is a disk without partition table, file system or other signature. It is
// refused while anything on it is in use, and for the disk that the root lies on.
type Wiped struct {
	Device string `json:"device"` // /dev/disk/by-id/... or another name of it
}

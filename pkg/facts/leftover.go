package facts

// Firewall is what filters packets on the host.
type Firewall struct {
	// Managers that are on: firewalld, ufw, nftables, iptables (the services
	// that load rules at boot).
	Managers []string `json:"managers,omitempty"`
	// Tables that the kernel holds: "nft inet filter", "iptables filter".
	Tables []string `json:"tables,omitempty"`
	// InputDrop tells that a base chain of input drops what no rule accepts.
	InputDrop bool `json:"inputDrop,omitempty"`
}

// Leftover is a trace of a cluster, a container runtime or a pod network.
type Leftover struct {
	// Kind is containerd, docker, cri-o, kubelet, kubernetes, etcd, cni,
	// rook or interface.
	Kind string `json:"kind"`
	Path string `json:"path"` // file or directory, or the interface's name
	Ours bool   `json:"ours"` // kforge put it there, or the cluster that it runs
}

// Locate is updatedb and what it leaves out.
type Locate struct {
	Program string `json:"program,omitempty"` // plocate, mlocate, locate; "" when there is none
	Active  bool   `json:"active,omitempty"`  // a timer or cron job starts it
	Config  string `json:"config,omitempty"`  // /etc/updatedb.conf
	// PrunePaths and PruneFS are directories and file systems left out.
	PrunePaths      []string `json:"prunePaths,omitempty"`
	PruneFS         []string `json:"pruneFS,omitempty"`
	PruneBindMounts bool     `json:"pruneBindMounts,omitempty"`
}

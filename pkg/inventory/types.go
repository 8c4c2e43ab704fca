// Package inventory is what the user wrote: the types of inventory.yaml, their
// strict decoding with positions, defaults and validation. It never talks to a
// host and knows nothing of what a host is.
package inventory

import "time"

// API version and kind of the one document that an inventory holds.
const (
	APIVersion = "kforge.dev/v1alpha1"
	Kind       = "Cluster"
)

// Inventory is a whole inventory file.
type Inventory struct {
	APIVersion string   `json:"apiVersion" yaml:"apiVersion"`
	Kind       string   `json:"kind" yaml:"kind"`
	Metadata   Metadata `json:"metadata" yaml:"metadata"`
	Spec       Spec     `json:"spec" yaml:"spec"`
}

// Metadata names the cluster.
type Metadata struct {
	// Name of the cluster: a DNS label.
	Name string `json:"name" yaml:"name"`
}

// Spec is what the cluster should be.
type Spec struct {
	Kubernetes Kubernetes `json:"kubernetes,omitzero" yaml:"kubernetes,omitempty"`
	Network    Network    `json:"network,omitzero" yaml:"network,omitempty"`
	SSH        SSH        `json:"ssh,omitzero" yaml:"ssh,omitempty"`
	DNS        DNS        `json:"dns,omitzero" yaml:"dns,omitempty"`
	Artifacts  Artifacts  `json:"artifacts,omitzero" yaml:"artifacts,omitempty"`
	Timeouts   Timeouts   `json:"timeouts,omitzero" yaml:"timeouts,omitempty"`
	// Defaults hold for every host.
	Defaults HostSettings `json:"defaults,omitzero" yaml:"defaults,omitempty"`
	// Classes are kinds of hardware by name; a host that names one gets its
	// settings over the defaults.
	Classes map[string]HostSettings `json:"classes,omitempty" yaml:"classes,omitempty"`
	Hosts   []Host                  `json:"hosts" yaml:"hosts"`
}

// Kubernetes chooses the version and the API endpoint.
type Kubernetes struct {
	// Version as "v1.37.2", or a minor "1.37" for the newest patch known.
	Version string `json:"version,omitempty" yaml:"version,omitempty"`
	// Endpoint is host[:port] of the API for everybody; default is the address
	// of the only control plane, port 6443.
	Endpoint string `json:"endpoint,omitempty" yaml:"endpoint,omitempty"`
	// CertSANs are further names and addresses in the API server's certificate.
	CertSANs []string `json:"certSANs,omitempty" yaml:"certSANs,omitempty"`
}

// Network is the cluster's own networks.
type Network struct {
	PodCIDR     string `json:"podCIDR,omitempty" yaml:"podCIDR,omitempty"`
	ServiceCIDR string `json:"serviceCIDR,omitempty" yaml:"serviceCIDR,omitempty"`
	// DNSDomain of the cluster, default cluster.local.
	DNSDomain string `json:"dnsDomain,omitempty" yaml:"dnsDomain,omitempty"`
	CNI       CNI    `json:"cni,omitzero" yaml:"cni,omitempty"`
}

// CNI chooses and tunes the network plug-in.
type CNI struct {
	// Plugin: flannel.
	Plugin string `json:"plugin,omitempty" yaml:"plugin,omitempty"`
	// Backend of flannel: vxlan (default) or host-gw.
	Backend string `json:"backend,omitempty" yaml:"backend,omitempty"`
	// MTU of the pod network in bytes; 0 takes the smallest of the hosts'
	// interfaces less the overlay's header.
	MTU int `json:"mtu,omitempty" yaml:"mtu,omitempty"`
}

// SSH is how hosts are reached. Host values win over these, these over
// ~/.ssh/config, that over the defaults.
type SSH struct {
	User string `json:"user,omitempty" yaml:"user,omitempty"`
	Port int    `json:"port,omitempty" yaml:"port,omitempty"`
	// IdentityFiles are private keys, relative to the inventory's folder.
	IdentityFiles []string `json:"identityFiles,omitempty" yaml:"identityFiles,omitempty"`
	// HostKeys: accept-new (default) or strict. A changed key always stops.
	HostKeys string `json:"hostKeys,omitempty" yaml:"hostKeys,omitempty"`
	// KnownHosts is the known_hosts file, default ~/.ssh/known_hosts.
	KnownHosts string `json:"knownHosts,omitempty" yaml:"knownHosts,omitempty"`
	// Bastions to go through in order, each [user@]host[:port].
	Bastions []string `json:"bastions,omitempty" yaml:"bastions,omitempty"`
	// AgentDir is where kforge-agent lives on hosts, default
	// /var/lib/kforge/bin, else a cache directory of the user.
	AgentDir string `json:"agentDir,omitempty" yaml:"agentDir,omitempty"`
}

// DNS names servers for pods' outside names, where hosts' own resolver cannot
// be used by pods (a loopback stub).
type DNS struct {
	Servers []string `json:"servers,omitempty" yaml:"servers,omitempty"`
}

// Artifacts says where binaries and images come from.
type Artifacts struct {
	// Mirror is the base URL of a mirror laid out like the official sites;
	// empty means the official sites.
	Mirror string `json:"mirror,omitempty" yaml:"mirror,omitempty"`
}

// Timeouts are the deadlines of slow work, multiplied by a host's TimeoutScale.
type Timeouts struct {
	Connect Duration `json:"connect,omitempty" yaml:"connect,omitempty"` // TCP and SSH handshake, default 15s
	Ready   Duration `json:"ready,omitempty" yaml:"ready,omitempty"`     // a node or add-on to become ready, default 5m
}

// Duration is a time.Duration written as "90s" or "5m".
type Duration time.Duration

// Host is one machine. What is not set comes from its class, then the defaults.
type Host struct {
	Name         string `json:"name" yaml:"name"`
	HostSettings `yaml:",inline"`
}

// HostSettings is what defaults, classes and hosts can all set.
type HostSettings struct {
	Address string   `json:"address,omitempty" yaml:"address,omitempty"` // SSH address, name or IP; hosts only
	NodeIP  string   `json:"nodeIP,omitempty" yaml:"nodeIP,omitempty"`   // address of the node in the cluster; hosts only, default: Address when it is an IP of the host
	Class   string   `json:"class,omitempty" yaml:"class,omitempty"`     // hosts only
	Roles   []string `json:"roles,omitempty" yaml:"roles,omitempty"`     // control-plane, worker; default worker (the first host is the control plane when no host has roles)
	User    string   `json:"user,omitempty" yaml:"user,omitempty"`
	Port    int      `json:"port,omitempty" yaml:"port,omitempty"`
	// HostKey pins the host's public key: "ssh-ed25519 AAAA..." or "SHA256:...".
	HostKey string `json:"hostKey,omitempty" yaml:"hostKey,omitempty"`
	// CgroupV1 allows the kubelet on a host that has cgroup v1 only.
	CgroupV1 string `json:"cgroupV1,omitempty" yaml:"cgroupV1,omitempty"` // "allow" or "refuse" (default)
	// SwapOff turns swap off and keeps it off; default true.
	SwapOff *bool `json:"swapOff,omitempty" yaml:"swapOff,omitempty"`
	// TimeoutScale multiplies the time-outs for slow machines, default 1.
	TimeoutScale float64           `json:"timeoutScale,omitempty" yaml:"timeoutScale,omitempty"`
	MaxPods      int               `json:"maxPods,omitempty" yaml:"maxPods,omitempty"` // default 110
	Labels       map[string]string `json:"labels,omitempty" yaml:"labels,omitempty"`
	Taints       []Taint           `json:"taints,omitempty" yaml:"taints,omitempty"`
	Reserved     Reserved          `json:"reserved,omitzero" yaml:"reserved,omitempty"`
}

// Taint is a node taint given at join.
type Taint struct {
	Key    string `json:"key" yaml:"key"`
	Value  string `json:"value,omitempty" yaml:"value,omitempty"`
	Effect string `json:"effect" yaml:"effect"` // NoSchedule, PreferNoSchedule, NoExecute
}

// Reserved resources are kept from pods: quantities as "500m", "2Gi".
type Reserved struct {
	CPU    string `json:"cpu,omitempty" yaml:"cpu,omitempty"`
	Memory string `json:"memory,omitempty" yaml:"memory,omitempty"`
}

// Role names.
const (
	RoleControlPlane = "control-plane"
	RoleWorker       = "worker"
)

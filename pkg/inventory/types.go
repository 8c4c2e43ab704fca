// Package inventory is what the user wrote: the types of inventory.yaml, their
// strict decoding with positions, defaults and validation. It never talks to a
// host and knows nothing of what a host is.
package inventory

// API version and kind of the one document that an inventory holds.
const (
	APIVersion = "kforge.dev/v1alpha1"
	Kind       = "Cluster"
)

// Role names.
const (
	RoleControlPlane = "control-plane"
	RoleWorker       = "worker"
)

// How nodes reach the API.
const (
	EndpointDirect   = "direct"   // at the address of the only control plane
	EndpointLocal    = "local"    // through a load balancer on each node
	EndpointExternal = "external" // at an address of the site's
	EndpointKubeVIP  = "kube-vip" // at a virtual address that control planes pass on
)

// LocalEndpoint is where the load balancer of a node listens. kubeadm's own
// ports, and those that sites commonly use for an API, are left free.
const LocalEndpoint = "127.0.0.1:7443"

// The jsonschema tags below are read three times: by the generator of the JSON
// Schema, by the strict decoder (required, enum, bounds, oneof_type) and by the
// test that writes the table of keys in docs/inventory.md. Field comments are
// the hover text of editors.

// Inventory is a whole inventory file: one YAML document.
type Inventory struct {
	// Version of this format.
	APIVersion string `json:"apiVersion" jsonschema:"required,enum=kforge.dev/v1alpha1"`
	// Kind of the document.
	Kind string `json:"kind" jsonschema:"required,enum=Cluster"`
	// Metadata names the cluster.
	Metadata Metadata `json:"metadata" jsonschema:"required"`
	// Spec is what the cluster should be.
	Spec Spec `json:"spec" jsonschema:"required"`
}

// Metadata names the cluster.
type Metadata struct {
	// Name of the cluster: a DNS label.
	Name string `json:"name" jsonschema:"required"`
}

// Spec is what the cluster should be.
type Spec struct {
	Kubernetes Kubernetes `json:"kubernetes,omitzero"`
	Network    Network    `json:"network,omitzero"`
	Etcd       Etcd       `json:"etcd,omitzero"`
	// Certificates of the control planes.
	Certificates Certificates `json:"certificates,omitzero"`
	SSH          SSH          `json:"ssh,omitzero"`
	DNS          DNS          `json:"dns,omitzero"`
	Time         Time         `json:"time,omitzero"`
	Artifacts    Artifacts    `json:"artifacts,omitzero"`
	Timeouts     Timeouts     `json:"timeouts,omitzero"`
	Apply        Apply        `json:"apply,omitzero"`
	Upgrade      Upgrade      `json:"upgrade,omitzero"`
	// Checks tune rules of `kforge check` by their names, for all hosts and for
	// what concerns no single one; those of defaults, classes and hosts go over
	// them, rule by rule.
	Checks map[string]Check `json:"checks,omitempty"`
	// Defaults hold for every host.
	Defaults HostSettings `json:"defaults,omitzero"`
	// Classes are kinds of hardware by name; a host that names one gets its
	// settings over the defaults.
	Classes map[string]HostSettings `json:"classes,omitempty"`
	// Hosts of the cluster: a list, or in short "name: address" lines.
	Hosts HostList `json:"hosts" jsonschema:"required"`
}

// Kubernetes chooses the version and the API endpoint.
type Kubernetes struct {
	// Version as "v1.37.2", or a minor "1.37" for the newest patch known.
	Version string `json:"version,omitempty" jsonschema:"oneof_type=string;number,default=v1.37.2"`
	// Endpoint is host[:port] of the API for everybody, for endpointMode external
	// and kube-vip.
	Endpoint string `json:"endpoint,omitempty"`
	// EndpointMode is how nodes reach the API. direct: at the address of the only
	// control plane; local: through a load balancer that kforge puts on every
	// node; external: at the endpoint, a load balancer of yours; kube-vip: at the
	// endpoint, a free address of the control planes' network that one of them
	// holds. Default is external where an endpoint is given, local for several
	// control planes, else direct.
	EndpointMode string `json:"endpointMode,omitempty" jsonschema:"enum=direct,enum=local,enum=external,enum=kube-vip"`
	// CertSANs are further names and addresses in the API server's certificate.
	CertSANs []string `json:"certSANs,omitempty"`
}

// Etcd is what kforge does for the cluster's data.
type Etcd struct {
	Snapshots Snapshots `json:"snapshots,omitzero"`
}

// Certificates says for how long those of the cluster are made, and when they are
// renewed.
type Certificates struct {
	// Validity of all but CAs, from the next renewal on. kubeadm's is a year.
	Validity Duration `json:"validity,omitempty" jsonschema:"default=8760h"`
	// CAValidity of the CAs that a new cluster begins with.
	CAValidity Duration `json:"caValidity,omitempty" jsonschema:"default=87600h"`
	Renewal    Renewal  `json:"renewal,omitzero"`
}

// Renewal is done by each control plane on its own, by a systemd timer, one at a
// time.
type Renewal struct {
	// Schedule as systemd's OnCalendar has it, or "off". What is not due is left
	// alone.
	Schedule string `json:"schedule,omitempty" jsonschema:"default=daily"`
	// Jitter spreads the control planes over this time.
	Jitter Duration `json:"jitter,omitempty" jsonschema:"default=1h"`
	// Left is the part of its lifetime, in percent, that a certificate has left
	// when it is renewed.
	Left int `json:"left,omitempty" jsonschema:"minimum=1,maximum=99,default=33"`
	// MetricsFile on the control planes, for the textfile collector of
	// node_exporter.
	MetricsFile string `json:"metricsFile,omitempty"`
}

// Snapshots are taken by each control plane on its own, by a systemd timer.
type Snapshots struct {
	// Schedule as systemd's OnCalendar has it ("daily", "*-*-* 03:00"), or "off".
	Schedule string `json:"schedule,omitempty" jsonschema:"default=*-*-* 00/6:00"`
	// Keep so many on each control plane; older ones are removed.
	Keep int `json:"keep,omitempty" jsonschema:"minimum=1,maximum=1000,default=12"`
	// Directory for them on control planes, an absolute path. A disk other than
	// etcd's is best.
	Directory string `json:"directory,omitempty" jsonschema:"default=/var/backups/etcd"`
}

// SnapshotsOff as a schedule: none are taken.
const SnapshotsOff = "off"

// Network is the cluster's own networks.
type Network struct {
	// PodCIDR is the IPv4 network of pods; every host gets a /24 of it.
	PodCIDR string `json:"podCIDR,omitempty" jsonschema:"default=10.244.0.0/16"`
	// ServiceCIDR is the IPv4 network of services. The default is a /16 where
	// kubeadm has a /12, so that 10.97 to 10.111 stay free for the site.
	ServiceCIDR string `json:"serviceCIDR,omitempty" jsonschema:"default=10.96.0.0/16"`
	// DNSDomain of the cluster.
	DNSDomain string `json:"dnsDomain,omitempty" jsonschema:"default=cluster.local"`
	CNI       CNI    `json:"cni,omitzero"`
}

// CNI chooses and tunes the network plug-in.
type CNI struct {
	// Plugin that connects pods.
	Plugin string `json:"plugin,omitempty" jsonschema:"enum=flannel,default=flannel"`
	// Backend of flannel: vxlan works anywhere, host-gw is faster and needs all
	// hosts in one layer-2 network.
	Backend string `json:"backend,omitempty" jsonschema:"enum=vxlan,enum=host-gw,default=vxlan"`
	// MTU of the pod network in bytes, 1280 to 9216; 0 takes the smallest of the
	// hosts' interfaces less the overlay's header.
	MTU int `json:"mtu,omitempty" jsonschema:"minimum=0,maximum=9216,default=0"`
}

// SSH is how hosts are reached. Host values win over these, these over
// ~/.ssh/config, that over the defaults.
type SSH struct {
	// User to log in as: root, or one that may use sudo.
	User string `json:"user,omitempty"`
	// Port of sshd.
	Port int `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// IdentityFiles are private keys: ~/..., absolute, or relative to the
	// inventory's folder.
	IdentityFiles []string `json:"identityFiles,omitempty"`
	// HostKeys: accept-new takes a key at first sight, strict wants it known
	// before. A changed key always stops.
	HostKeys string `json:"hostKeys,omitempty" jsonschema:"enum=accept-new,enum=strict,default=accept-new"`
	// KnownHosts is the known_hosts file, a path like those of identityFiles.
	KnownHosts string `json:"knownHosts,omitempty" jsonschema:"default=~/.ssh/known_hosts"`
	// Bastions to go through in order, each [user@]host[:port].
	Bastions []string `json:"bastions,omitempty"`
	// AgentDir is where kforge-agent lives on hosts, an absolute path; by
	// default /var/lib/kforge/bin, else a cache directory of the user.
	AgentDir string `json:"agentDir,omitempty"`
}

// DNS names servers for pods' outside names, where hosts' own resolver cannot
// be used by pods (a loopback stub).
type DNS struct {
	// Servers are IP addresses.
	Servers []string `json:"servers,omitempty"`
	// ManageHosts makes the hosts themselves ask the servers, by a drop-in of
	// systemd-resolved; no file of somebody else is rewritten.
	ManageHosts bool `json:"manageHosts,omitempty" jsonschema:"default=false"`
}

// Time says where hosts get the time from, by a drop-in of the daemon that is
// there: chrony or systemd-timesyncd. Without servers nothing is set.
type Time struct {
	// Servers of NTP, names or IP addresses; the nearest list wins as a whole.
	Servers []string `json:"servers,omitempty" jsonschema:"minItems=1"`
}

// Artifacts says where binaries and images come from.
type Artifacts struct {
	// Mirror is the base URL of a mirror laid out like the official sites;
	// without it the official sites are used.
	Mirror string `json:"mirror,omitempty"`
}

// Timeouts are the deadlines of slow work, multiplied by a host's timeoutScale.
type Timeouts struct {
	// Connect is for TCP and the SSH handshake.
	Connect Duration `json:"connect,omitempty" jsonschema:"default=15s"`
	// Ready is for a node or an add-on to become ready.
	Ready Duration `json:"ready,omitempty" jsonschema:"default=5m"`
	// Drain is for the pods to leave a node.
	Drain Duration `json:"drain,omitempty" jsonschema:"default=5m"`
}

// Apply says how `kforge apply` treats nodes of a running cluster.
type Apply struct {
	// MaxUnavailable is how many workers may have containerd or the kubelet
	// restarted at one time: a number, or a share of them as "10%", which is at
	// least one. When one of them does not come back, no further one is restarted.
	MaxUnavailable string `json:"maxUnavailable,omitempty" jsonschema:"oneof_type=string;number,default=10%"`
}

// Upgrade says how `kforge upgrade` treats workers.
type Upgrade struct {
	// MaxUnavailable is how many workers may be out of service at one time: a
	// number, or a share of them as "10%", which is at least one.
	MaxUnavailable string `json:"maxUnavailable,omitempty" jsonschema:"oneof_type=string;number,default=1"`
}

// HostList is the hosts in the file's order. It decodes from a list of hosts
// and from a mapping of names to addresses.
type HostList []Host

// Host is one machine. What is not set comes from its class, then the defaults.
type Host struct {
	// Name of the host and of its node: a DNS name of at most 63 characters.
	Name string `json:"name" jsonschema:"required"`
	// Address for SSH, a name or an IP.
	Address string `json:"address" jsonschema:"required"`
	// NodeIP is the node's IPv4 address in the cluster; default is the address
	// when that is an IP of the host, else what the host tells.
	NodeIP string `json:"nodeIP,omitempty"`
	// Class of the host, one of spec.classes.
	Class string `json:"class,omitempty"`
	// HostKey pins the host's public key: "ssh-ed25519 AAAA..." or "SHA256:...".
	HostKey      string `json:"hostKey,omitempty"`
	HostSettings `json:",inline"`
}

// HostSettings is what defaults, classes and hosts can all set.
type HostSettings struct {
	// Roles of the host. Default is worker; when no host has roles, the first
	// host is the control plane, and the only host of a cluster is both.
	Roles []string `json:"roles,omitempty" jsonschema:"minItems=1,enum=control-plane,enum=worker"`
	// User to log in as, over spec.ssh.user.
	User string `json:"user,omitempty"`
	// Port of sshd, over spec.ssh.port.
	Port int `json:"port,omitempty" jsonschema:"minimum=1,maximum=65535"`
	// CgroupV1 allows the kubelet on a host that has cgroup v1 only.
	CgroupV1 string `json:"cgroupV1,omitempty" jsonschema:"enum=allow,enum=refuse,default=refuse"`
	// SwapOff turns swap off and keeps it off.
	SwapOff *bool `json:"swapOff,omitempty" jsonschema:"default=true"`
	// TimeoutScale multiplies the time-outs for slow machines.
	TimeoutScale float64 `json:"timeoutScale,omitempty" jsonschema:"exclusiveMinimum=0,default=1"`
	// MaxPods of the node; its pods share a /24, so 253 at the most.
	MaxPods int `json:"maxPods,omitempty" jsonschema:"minimum=1,maximum=253,default=110"`
	// Labels of the node; those of defaults, class and host are joined. Those that
	// kforge set and nothing names any more are taken away.
	Labels map[string]string `json:"labels,omitempty"`
	// Taints of the node; the nearest list wins as a whole. Those that kforge set
	// and the list no longer names are taken away, those of others stay.
	Taints   []Taint  `json:"taints,omitempty"`
	Reserved Reserved `json:"reserved,omitzero"`
	Time     Time     `json:"time,omitzero"`
	// Checks tune rules of `kforge check` by their names; see docs/check.md.
	Checks map[string]Check `json:"checks,omitempty"`
}

// Check tunes one rule. The nearest one to a host wins as a whole.
type Check struct {
	// Severity of all that the rule finds; off leaves it out of the count.
	Severity string `json:"severity,omitempty" jsonschema:"enum=off,enum=warning,enum=error"`
	// Reason why it is waived, shown in every report: needed for off and warning.
	Reason string `json:"reason,omitempty"`
	// Warn is the limit of a warning, for rules that have limits.
	Warn Duration `json:"warn,omitempty"`
	// Fail is the limit of an error, for rules that have limits.
	Fail Duration `json:"fail,omitempty"`
}

// Taint is a node taint.
type Taint struct {
	// Key of the taint: a qualified name as of labels.
	Key string `json:"key" jsonschema:"required"`
	// Value of the taint.
	Value string `json:"value,omitempty" jsonschema:"minLength=0"`
	// Effect on pods that do not tolerate it.
	Effect string `json:"effect" jsonschema:"required,enum=NoSchedule,enum=PreferNoSchedule,enum=NoExecute"`
}

// Reserved resources are kept from pods, for the system.
type Reserved struct {
	// CPU as "500m" or "2".
	CPU string `json:"cpu,omitempty" jsonschema:"oneof_type=string;number"`
	// Memory as "512Mi" or "2Gi".
	Memory string `json:"memory,omitempty" jsonschema:"oneof_type=string;number"`
}

package inventory

import (
	"slices"
	"time"
)

// Cluster is an inventory ready for use: every default filled in, every host
// merged, every path absolute. Load gives it; nothing else makes one but tests.
type Cluster struct {
	Name     string
	Dir      string // folder of the inventory file, absolute
	File     string // path as the user gave it
	Version  string // Kubernetes version, "v1.37.2"
	Endpoint string // host:port of the API as nodes reach it
	// EndpointMode is EndpointDirect, EndpointLocal, EndpointExternal or EndpointKubeVIP.
	EndpointMode string
	CertSANs     []string
	PodCIDR      string
	ServiceCIDR  string
	DNSDomain    string
	CNI          CNI
	Snapshots    Snapshots
	Certificates Certificates
	SSH          SSH // identity files and known_hosts as absolute paths
	DNSServers   []string
	// ManageHostDNS: hosts themselves are to ask DNSServers.
	ManageHostDNS bool
	Mirror        string // without a slash at the end; empty for the official sites
	Connect       time.Duration
	Ready         time.Duration
	Drain         time.Duration
	// MaxRestarting workers at one time in an apply, and MaxUnavailable in an
	// upgrade: a number or a percentage; see Share.
	MaxRestarting  string
	MaxUnavailable string
	Hosts          []ResolvedHost // in the file's order
	// Checks tune what rules find of the cluster as a whole, by rule.
	Checks map[string]Check
	// From tells for each cluster setting, by its path below spec
	// ("network.podCIDR"), where its value came from: "spec" or "kforge".
	From map[string]string
}

// ResolvedHost is a host after defaults and class were merged.
type ResolvedHost struct {
	Name         string
	Address      string
	NodeIP       string // may be empty: then facts decide
	Class        string
	Roles        []string
	User         string // may be empty: then ~/.ssh/config and the login name decide
	Port         int    // may be 0: then ~/.ssh/config, then 22
	HostKey      string
	CgroupV1     bool // allowed
	SwapOff      bool
	TimeoutScale float64
	MaxPods      int
	Labels       map[string]string
	Taints       []Taint
	Reserved     Reserved
	TimeServers  []string         // NTP servers; none leaves the host's clock alone
	Checks       map[string]Check // by rule; never changed once made
	// From tells for each setting's JSON name where its value came from:
	// "host", "class gpu", "defaults", "spec" or "kforge". Labels, reserved
	// resources and checks have one each: "labels.disk", "reserved.cpu".
	From map[string]string
}

// ControlPlane reports whether the host runs the control plane.
func (h ResolvedHost) ControlPlane() bool { return slices.Contains(h.Roles, RoleControlPlane) }

// Worker reports whether the host takes ordinary pods.
func (h ResolvedHost) Worker() bool { return slices.Contains(h.Roles, RoleWorker) }

// ControlPlanes gives the control-plane hosts in the file's order.
func (c *Cluster) ControlPlanes() []ResolvedHost {
	var out []ResolvedHost
	for _, h := range c.Hosts {
		if h.ControlPlane() {
			out = append(out, h)
		}
	}
	return out
}

// Host finds a host by its name.
func (c *Cluster) Host(name string) (ResolvedHost, bool) {
	for i := range c.Hosts { // a host is large, and thousands are asked for
		if c.Hosts[i].Name == name {
			return c.Hosts[i], true
		}
	}
	return ResolvedHost{}, false
}

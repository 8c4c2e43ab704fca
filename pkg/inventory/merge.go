package inventory

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"
)

// Where a value came from.
const (
	fromKforge   = "kforge"
	fromSpec     = "spec"
	fromDefaults = "defaults"
	fromHost     = "host"
)

// What kforge takes when the inventory says nothing. The test of the schema
// holds them against the default= of the types' tags.
const (
	defaultPodCIDR      = "10.244.0.0/16"
	defaultServiceCIDR  = "10.96.0.0/16"
	defaultDNSDomain    = "cluster.local"
	defaultCNI          = "flannel"
	defaultBackend      = "vxlan"
	defaultHostKeys     = "accept-new"
	defaultKnownHosts   = "~/.ssh/known_hosts"
	defaultConnect      = 15 * time.Second
	defaultReady        = 5 * time.Minute
	defaultDrain        = 5 * time.Minute
	defaultUnavailable  = "1"
	defaultRestarting   = "10%"
	defaultMaxPods      = 110
	defaultSchedule     = "*-*-* 00/6:00"
	defaultKeep         = 12
	defaultSnapshots    = "/var/backups/etcd"
	defaultRenewal      = "daily"
	defaultLeft         = 33 // percent
	defaultValidity     = Duration(365 * 24 * time.Hour)
	defaultCAValidity   = Duration(3650 * 24 * time.Hour)
	defaultJitter       = Duration(time.Hour)
	defaultTimeoutScale = 1
	apiPort             = 6443
)

// resolve fills in defaults and merges hosts. It judges nothing: what is not
// valid is passed on, for check to find with its position.
func resolve(inv *Inventory, file, dir string) *Cluster {
	s := inv.Spec
	c := &Cluster{
		Name: inv.Metadata.Name, File: file, Dir: dir,
		CertSANs: s.Kubernetes.CertSANs, DNSServers: s.DNS.Servers,
		CNI: s.Network.CNI, SSH: s.SSH, Checks: s.Checks, Mirror: strings.TrimRight(s.Artifacts.Mirror, "/"),
		From: map[string]string{},
	}
	c.Version = pick(c, "kubernetes.version", s.Kubernetes.Version, DefaultVersion)
	if v, _, err := ResolveVersion(c.Version); err == nil {
		c.Version = v
	}
	c.PodCIDR = pick(c, "network.podCIDR", s.Network.PodCIDR, defaultPodCIDR)
	c.ServiceCIDR = pick(c, "network.serviceCIDR", s.Network.ServiceCIDR, defaultServiceCIDR)
	c.DNSDomain = pick(c, "network.dnsDomain", s.Network.DNSDomain, defaultDNSDomain)
	c.CNI.Plugin = pick(c, "network.cni.plugin", s.Network.CNI.Plugin, defaultCNI)
	c.CNI.Backend = pick(c, "network.cni.backend", s.Network.CNI.Backend, defaultBackend)
	c.CNI.MTU = pick(c, "network.cni.mtu", s.Network.CNI.MTU, 0)
	c.Snapshots = Snapshots{
		Schedule:  pick(c, "etcd.snapshots.schedule", s.Etcd.Snapshots.Schedule, defaultSchedule),
		Keep:      pick(c, "etcd.snapshots.keep", s.Etcd.Snapshots.Keep, defaultKeep),
		Directory: pick(c, "etcd.snapshots.directory", s.Etcd.Snapshots.Directory, defaultSnapshots),
	}
	certs := s.Certificates
	c.Certificates = Certificates{
		Validity:   pick(c, "certificates.validity", certs.Validity, defaultValidity),
		CAValidity: pick(c, "certificates.caValidity", certs.CAValidity, defaultCAValidity),
		Renewal: Renewal{
			Schedule:    pick(c, "certificates.renewal.schedule", certs.Renewal.Schedule, defaultRenewal),
			Jitter:      pick(c, "certificates.renewal.jitter", certs.Renewal.Jitter, defaultJitter),
			Left:        pick(c, "certificates.renewal.left", certs.Renewal.Left, defaultLeft),
			MetricsFile: certs.Renewal.MetricsFile,
		},
	}
	c.SSH.HostKeys = pick(c, "ssh.hostKeys", s.SSH.HostKeys, defaultHostKeys)
	c.SSH.KnownHosts = pick(c, "ssh.knownHosts", s.SSH.KnownHosts, defaultKnownHosts)
	c.ManageHostDNS = pick(c, "dns.manageHosts", s.DNS.ManageHosts, false)
	c.Connect = pick(c, "timeouts.connect", time.Duration(s.Timeouts.Connect), defaultConnect)
	c.Ready = pick(c, "timeouts.ready", time.Duration(s.Timeouts.Ready), defaultReady)
	c.Drain = pick(c, "timeouts.drain", time.Duration(s.Timeouts.Drain), defaultDrain)
	c.MaxRestarting = pick(c, "apply.maxUnavailable", s.Apply.MaxUnavailable, defaultRestarting)
	c.MaxUnavailable = pick(c, "upgrade.maxUnavailable", s.Upgrade.MaxUnavailable, defaultUnavailable)
	for name, set := range map[string]bool{
		"kubernetes.certSANs": c.CertSANs != nil, "dns.servers": c.DNSServers != nil, "artifacts.mirror": c.Mirror != "",
		"ssh.user": s.SSH.User != "", "ssh.port": s.SSH.Port != 0, "ssh.identityFiles": s.SSH.IdentityFiles != nil,
		"ssh.bastions": s.SSH.Bastions != nil, "ssh.agentDir": s.SSH.AgentDir != "",
	} {
		if set {
			c.From[name] = fromSpec
		}
	}
	for rule := range s.Checks {
		c.From["checks."+rule] = fromSpec
	}
	for _, h := range s.Hosts {
		c.Hosts = append(c.Hosts, resolveHost(h, s))
	}
	inferRoles(c.Hosts)
	c.EndpointMode = pick(c, "kubernetes.endpointMode", s.Kubernetes.EndpointMode, usualMode(s.Kubernetes.Endpoint, len(c.ControlPlanes())))
	c.Endpoint = pick(c, "kubernetes.endpoint", s.Kubernetes.Endpoint, "")
	if planes := c.ControlPlanes(); c.Endpoint == "" && len(planes) > 0 {
		c.Endpoint = cmp.Or(planes[0].NodeIP, planes[0].Address)
		if c.EndpointMode == EndpointLocal {
			c.Endpoint = LocalEndpoint
		}
	}
	if host, port, err := splitHostPort(c.Endpoint); err == nil {
		c.Endpoint = net.JoinHostPort(host, strconv.Itoa(cmp.Or(port, apiPort)))
	}
	return c
}

// usualMode is how nodes reach the API when the user does not say it.
func usualMode(endpoint string, controlPlanes int) string {
	switch {
	case endpoint != "":
		return EndpointExternal
	case controlPlanes > 1:
		return EndpointLocal
	}
	return EndpointDirect
}

// pick takes the user's value unless it is zero, and notes where it is from.
func pick[T comparable](c *Cluster, name string, user, kforge T) T {
	var zero T
	if user != zero {
		c.From[name] = fromSpec
		return user
	}
	c.From[name] = fromKforge
	return kforge
}

// resolveHost lays what is nearer to the host over what is farther.
func resolveHost(h Host, s Spec) ResolvedHost {
	r := ResolvedHost{
		Name: h.Name, Address: h.Address, NodeIP: h.NodeIP, Class: h.Class, HostKey: h.HostKey,
		Labels: map[string]string{}, Checks: map[string]Check{}, From: map[string]string{},
	}
	for name, v := range map[string]string{"address": h.Address, "nodeIP": h.NodeIP, "class": h.Class, "hostKey": h.HostKey} {
		if v != "" {
			r.From[name] = fromHost
		}
	}
	on := true
	r.lay(HostSettings{CgroupV1: "refuse", SwapOff: &on, TimeoutScale: defaultTimeoutScale, MaxPods: defaultMaxPods}, fromKforge)
	r.lay(HostSettings{User: s.SSH.User, Port: s.SSH.Port, Time: s.Time, Checks: s.Checks}, fromSpec)
	r.lay(s.Defaults, fromDefaults)
	if class, ok := s.Classes[h.Class]; ok {
		r.lay(class, "class "+h.Class)
	}
	r.lay(h.HostSettings, fromHost)
	return r
}

// lay puts the settings that s has over those of r: labels, checks and
// reserved resources one by one, lists as a whole.
func (r *ResolvedHost) lay(s HostSettings, from string) {
	over := func(set bool, name string, assign func()) {
		if set {
			assign()
			r.From[name] = from
		}
	}
	over(s.Roles != nil, "roles", func() { r.Roles = s.Roles })
	over(s.User != "", "user", func() { r.User = s.User })
	over(s.Port != 0, "port", func() { r.Port = s.Port })
	over(s.CgroupV1 != "", "cgroupV1", func() { r.CgroupV1 = s.CgroupV1 == "allow" })
	over(s.SwapOff != nil, "swapOff", func() { r.SwapOff = *s.SwapOff })
	over(s.TimeoutScale != 0, "timeoutScale", func() { r.TimeoutScale = s.TimeoutScale })
	over(s.MaxPods != 0, "maxPods", func() { r.MaxPods = s.MaxPods })
	over(s.Taints != nil, "taints", func() { r.Taints = s.Taints })
	over(s.Reserved.CPU != "", "reserved.cpu", func() { r.Reserved.CPU = s.Reserved.CPU })
	over(s.Reserved.Memory != "", "reserved.memory", func() { r.Reserved.Memory = s.Reserved.Memory })
	for rule, c := range s.Checks {
		over(true, "checks."+rule, func() { r.Checks[rule] = c })
	}
	over(s.Time.Servers != nil, "time.servers", func() { r.TimeServers = s.Time.Servers })
	for k, v := range s.Labels {
		over(true, "labels."+k, func() { r.Labels[k] = v })
	}
}

// inferRoles gives roles to hosts that have none: workers where any host has
// roles, else the first is the control plane and a lone host is both.
func inferRoles(hosts []ResolvedHost) {
	first := []string{RoleControlPlane}
	if len(hosts) == 1 {
		first = []string{RoleControlPlane, RoleWorker}
	}
	for _, h := range hosts {
		if len(h.Roles) > 0 {
			first = []string{RoleWorker}
		}
	}
	for i := range hosts {
		h := &hosts[i]
		if len(h.Roles) > 0 {
			continue
		}
		h.Roles, h.From["roles"] = []string{RoleWorker}, fromKforge
		if i == 0 {
			h.Roles = first
		}
	}
}

package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting is one value and where it came from: "host", "class gpu",
// "defaults", "spec" or "kforge".
type Setting struct {
	Name  string `json:"name"`
	Value any    `json:"value"` // string, int, float64, bool or []string
	From  string `json:"from"`
}

// Text gives the value as a table shows it.
func (s Setting) Text() string {
	if list, ok := s.Value.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(s.Value)
}

// HostView is what one host ended up with.
type HostView struct {
	Name     string    `json:"name"`
	Settings []Setting `json:"settings"`
}

// View is what an inventory came to, for `kforge inventory show`. It marshals
// to JSON as it is, and to YAML by its method.
type View struct {
	Cluster  string     `json:"cluster"`
	File     string     `json:"file"`
	Settings []Setting  `json:"settings"`
	Hosts    []HostView `json:"hosts"`
}

// Show gives every setting of the cluster and its hosts with its origin. What
// nobody set, and what only the hosts can tell, is left out.
func (c *Cluster) Show() View {
	v := View{Cluster: c.Name, File: c.File}
	values := []Setting{
		{Name: "kubernetes.version", Value: c.Version}, {Name: "kubernetes.endpoint", Value: c.Endpoint},
		{Name: "kubernetes.endpointMode", Value: c.EndpointMode},
		{Name: "kubernetes.certSANs", Value: c.CertSANs},
		{Name: "network.podCIDR", Value: c.PodCIDR}, {Name: "network.serviceCIDR", Value: c.ServiceCIDR},
		{Name: "network.dnsDomain", Value: c.DNSDomain}, {Name: "network.cni.plugin", Value: c.CNI.Plugin},
		{Name: "network.cni.backend", Value: c.CNI.Backend}, {Name: "network.cni.mtu", Value: c.CNI.MTU},
		{Name: "etcd.snapshots.schedule", Value: c.Snapshots.Schedule}, {Name: "etcd.snapshots.keep", Value: c.Snapshots.Keep},
		{Name: "etcd.snapshots.directory", Value: c.Snapshots.Directory},
		{Name: "certificates.validity", Value: c.Certificates.Validity.String()}, {Name: "certificates.caValidity", Value: c.Certificates.CAValidity.String()},
		{Name: "certificates.renewal.schedule", Value: c.Certificates.Renewal.Schedule}, {Name: "certificates.renewal.jitter", Value: c.Certificates.Renewal.Jitter.String()},
		{Name: "certificates.renewal.left", Value: c.Certificates.Renewal.Left}, {Name: "certificates.renewal.metricsFile", Value: c.Certificates.Renewal.MetricsFile},
		{Name: "ssh.user", Value: c.SSH.User}, {Name: "ssh.port", Value: c.SSH.Port},
		{Name: "ssh.identityFiles", Value: c.SSH.IdentityFiles}, {Name: "ssh.hostKeys", Value: c.SSH.HostKeys},
		{Name: "ssh.knownHosts", Value: c.SSH.KnownHosts}, {Name: "ssh.bastions", Value: c.SSH.Bastions},
		{Name: "ssh.agentDir", Value: c.SSH.AgentDir}, {Name: "dns.servers", Value: c.DNSServers},
		{Name: "dns.manageHosts", Value: c.ManageHostDNS},
		{Name: "artifacts.mirror", Value: c.Mirror},
		{Name: "timeouts.connect", Value: durationText(c.Connect)}, {Name: "timeouts.ready", Value: durationText(c.Ready)},
		{Name: "timeouts.drain", Value: durationText(c.Drain)}, {Name: "apply.maxUnavailable", Value: c.MaxRestarting}, {Name: "upgrade.maxUnavailable", Value: c.MaxUnavailable},
	}
	values = append(values, showChecks(c.Checks)...)
	v.Settings = known(values, c.From)
	for _, h := range c.Hosts {
		v.Hosts = append(v.Hosts, HostView{Name: h.Name, Settings: h.show()})
	}
	return v
}

func (h ResolvedHost) show() []Setting {
	cgroup := "refuse"
	if h.CgroupV1 {
		cgroup = "allow"
	}
	taints := []string{}
	for _, t := range h.Taints {
		taints = append(taints, t.String())
	}
	values := []Setting{
		{Name: "address", Value: h.Address}, {Name: "nodeIP", Value: h.NodeIP}, {Name: "class", Value: h.Class},
		{Name: "roles", Value: h.Roles}, {Name: "user", Value: h.User}, {Name: "port", Value: h.Port},
		{Name: "hostKey", Value: h.HostKey}, {Name: "cgroupV1", Value: cgroup}, {Name: "swapOff", Value: h.SwapOff},
		{Name: "timeoutScale", Value: h.TimeoutScale}, {Name: "maxPods", Value: h.MaxPods},
	}
	for _, k := range slices.Sorted(maps.Keys(h.Labels)) {
		values = append(values, Setting{Name: "labels." + k, Value: h.Labels[k]})
	}
	values = append(values, Setting{Name: "taints", Value: taints},
		Setting{Name: "reserved.cpu", Value: h.Reserved.CPU}, Setting{Name: "reserved.memory", Value: h.Reserved.Memory},
		Setting{Name: "time.servers", Value: h.TimeServers})
	values = append(values, showChecks(h.Checks)...)
	return known(values, h.From)
}

func showChecks(checks map[string]Check) []Setting {
	var out []Setting
	for _, rule := range slices.Sorted(maps.Keys(checks)) {
		out = append(out, Setting{Name: "checks." + rule, Value: checks[rule].String()})
	}
	return out
}

// String gives the check as "off (known, bought in 2014)" or "warn 1s, fail 2s".
func (c Check) String() string {
	var parts []string
	if c.Severity != "" {
		parts = append(parts, c.Severity)
	}
	if c.Warn != 0 {
		parts = append(parts, "warn "+c.Warn.String())
	}
	if c.Fail != 0 {
		parts = append(parts, "fail "+c.Fail.String())
	}
	text := strings.Join(parts, ", ")
	if c.Reason != "" {
		text = strings.TrimSpace(text + " (" + c.Reason + ")")
	}
	return text
}

// known keeps the settings that have an origin.
func known(values []Setting, from map[string]string) []Setting {
	var out []Setting
	for _, s := range values {
		if s.From = from[s.Name]; s.From != "" {
			out = append(out, s)
		}
	}
	return out
}

// String gives the taint as kubectl writes it: key=value:Effect.
func (t Taint) String() string {
	if t.Value == "" {
		return t.Key + ":" + t.Effect
	}
	return t.Key + "=" + t.Value + ":" + t.Effect
}

// Table gives every setting as rows of host, setting, value, origin, with a
// header. Rows of the cluster have "-" for the host.
func (v View) Table() [][]string {
	rows := [][]string{{"HOST", "SETTING", "VALUE", "FROM"}}
	for _, s := range v.Settings {
		rows = append(rows, []string{"-", s.Name, s.Text(), s.From})
	}
	for _, h := range v.Hosts {
		for _, s := range h.Settings {
			rows = append(rows, []string{h.Name, s.Name, s.Text(), s.From})
		}
	}
	return rows
}

// Table is that of the view: every setting with its origin.
func (c *Cluster) Table() [][]string { return c.Show().Table() }

// Summary gives the hosts in short, one row each, with a header. An empty value
// is one that ~/.ssh/config or the host decides.
func (c *Cluster) Summary() [][]string {
	rows := [][]string{{"NAME", "ROLES", "ADDRESS", "USER", "PORT", "CLASS"}}
	for _, h := range c.Hosts {
		port := ""
		if h.Port != 0 {
			port = strconv.Itoa(h.Port)
		}
		rows = append(rows, []string{h.Name, strings.Join(h.Roles, ","), h.Address, h.User, port, h.Class})
	}
	return rows
}

// YAML gives the view as YAML, with the keys and the order of its JSON.
func (v View) YAML() ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write view: %w", err)
	}
	var n yaml.Node
	if err := yaml.Unmarshal(raw, &n); err != nil { // JSON is YAML
		return nil, fmt.Errorf("write view: %w", err)
	}
	plain(&n)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&n); err != nil {
		return nil, fmt.Errorf("write view: %w", err)
	}
	return b.Bytes(), nil
}

// plain takes JSON's braces and quotes off a tree; the encoder puts quotes
// back where a text would be read as something else.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

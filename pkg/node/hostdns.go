package node

import (
	"errors"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// ResolvedDropIn comes before drop-ins of later names, which win.
const ResolvedDropIn = "/etc/systemd/resolved.conf.d/10-kforge.conf"

// HostDNS gives what makes a host itself ask the servers: a drop-in where
// systemd-resolved answers. A resolv.conf that somebody else writes is left
// alone: unless it names the servers already, that is an error of kind
// Unsupported which says what to do. No servers need nothing.
func HostDNS(servers []string, r facts.Resolver, timeoutScale float64) ([]spec.Resource, error) {
	if len(servers) == 0 {
		return nil, nil
	}
	if resolved(r) {
		lines := []string{
			spec.Header, "[Resolve]",
			"DNS=", // takes away what was configured
			"DNS=" + strings.Join(servers, " "),
			"Domains=~.", // before the servers that DHCP gives to a link
		}
		return []spec.Resource{
			file(ResolvedDropIn, 0o644, []byte(strings.Join(lines, "\n")+"\n"), "DNS servers of the inventory"),
			{
				ID: "unit systemd-resolved.service", Why: "the host's names resolve",
				Unit: &spec.Unit{
					Name: "systemd-resolved.service", Enabled: spec.Bool(true), State: "running",
					RestartOn: []string{ResolvedDropIn}, TimeoutSeconds: Scale(90, timeoutScale),
				},
			},
		}, nil
	}
	// The C library reads three servers.
	if slices.Equal(r.Servers, servers[:min(3, len(servers))]) {
		return nil, nil
	}
	path := orDefault(r.Path, "/etc/resolv.conf")
	err := diag.New(diag.Unsupported, "set the host's DNS servers", "%s names %s and is not systemd-resolved's: kforge does not rewrite it",
		path, orDefault(strings.Join(r.Servers, ", "), "no server"))
	if strings.Contains(path+r.UpstreamPath, "/NetworkManager/") {
		return nil, err.WithHint("set them in NetworkManager: nmcli connection modify NAME ipv4.dns %q ipv4.ignore-auto-dns yes, then nmcli connection up NAME; or leave out dns.manageHosts",
			strings.Join(servers, ","))
	}
	return nil, err.WithHint("see what writes %s and give it these servers: nameserver %s; or leave out dns.manageHosts",
		path, strings.Join(servers, ", nameserver "))
}

// resolved tells whether systemd-resolved answers the host's queries.
func resolved(r facts.Resolver) bool {
	const run = "/run/systemd/resolve/"
	return r.Stub == "systemd-resolved" || strings.HasPrefix(r.Path, run) || strings.HasPrefix(r.UpstreamPath, run)
}

// Services gives time and name service of a host, as far as the inventory asks
// for them and they can be set; the error says what cannot.
func Services(in Input) ([]spec.Resource, error) {
	out, err := Clock(in.Host.TimeServers, in.Facts, in.Host.TimeoutScale)
	if !in.Cluster.ManageHostDNS {
		return out, err
	}
	dns, dnsErr := HostDNS(in.Cluster.DNSServers, in.Facts.Resolver, in.Host.TimeoutScale)
	return append(out, dns...), errors.Join(err, dnsErr)
}

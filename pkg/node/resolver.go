package node

import (
	"net/netip"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// Resolver is the resolv.conf that pods on a host get their servers from.
type Resolver struct {
	Path string // for the kubelet's resolvConf
	// Content of Path when it is a file of ours, else nil.
	Content []byte
	Why     string
	// Guessed tells that the host's own servers are unknown and fallback
	// servers were taken: a person should know.
	Guessed bool
}

// ChooseResolver decides where pods' outside names are asked. A loopback server
// (systemd-resolved's stub, a container's proxy) means the pod itself inside a
// pod, and CoreDNS would ask itself in a loop; so it is never handed on. The
// order: the inventory's servers; the host's file when no server in it is a
// loopback; the file or list of the servers behind the stub; the servers beside
// the stub; fallback.
func ChooseResolver(wanted []string, r facts.Resolver, fallback []string) (Resolver, error) {
	const stub = "the host's resolver is a loopback stub"
	switch beside := usable(r.Servers); {
	case len(wanted) > 0:
		return own(wanted, r.Search, "DNS servers of the inventory"), nil
	case len(beside) > 0 && len(beside) == len(r.Servers):
		return Resolver{Path: "/etc/resolv.conf", Why: "the host's own servers"}, nil
	case r.UpstreamPath != "" && len(r.Upstreams) > 0 && len(usable(r.Upstreams)) == len(r.Upstreams):
		return Resolver{Path: r.UpstreamPath, Why: stub + "; these are the servers behind it"}, nil
	case len(usable(r.Upstreams)) > 0:
		return own(usable(r.Upstreams), r.Search, stub+"; these are the servers behind it"), nil
	case len(beside) > 0:
		return own(beside, r.Search, stub+"; these are its other servers"), nil
	case len(usable(fallback)) > 0:
		out := own(usable(fallback), r.Search, stub+" with unknown servers behind it; these are public ones")
		out.Guessed = true
		return out, nil
	}
	return Resolver{}, diag.New(diag.Unsupported, "choose DNS servers for pods",
		"the host names no usable server in %s", orDefault(r.Path, "/etc/resolv.conf")).
		WithHint("name your DNS servers in the inventory: spec.dns.servers")
}

// Loopback tells whether servers hold one that means the host itself.
func Loopback(servers []string) bool { return len(usable(servers)) < len(servers) }

func usable(servers []string) []string {
	var out []string
	for _, s := range servers {
		addr, err := netip.ParseAddr(s)
		if err == nil && !addr.Unmap().IsLoopback() && !addr.IsUnspecified() {
			out = append(out, s)
		}
	}
	return out
}

func own(servers, search []string, why string) Resolver {
	var b strings.Builder
	b.WriteString(spec.Header + "\n")
	// The C library reads three servers and the kubelet warns of more.
	for _, s := range slices.Clone(servers)[:min(3, len(servers))] {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(search) > 0 {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	return Resolver{Path: ResolvConf, Content: []byte(b.String()), Why: why}
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

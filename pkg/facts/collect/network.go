package collect

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// upstreamFiles tell the real servers behind a stub on the loopback interface.
var upstreamFiles = []string{
	"/run/systemd/resolve/resolv.conf",
	"/run/NetworkManager/no-stub-resolv.conf",
	"/run/resolvconf/resolv.conf",
	"/run/dnsmasq/resolv.conf",
}

func (h *host) resolver() facts.Resolver {
	r := facts.Resolver{Path: "/etc/resolv.conf"}
	if target, err := os.Readlink(h.path(r.Path)); err == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join("/etc", target)
		}
		r.Path = filepath.Clean(target)
	}
	conf := parseResolvConf(h.text(r.Path))
	r.Servers, r.Search, r.Options = conf.servers, conf.search, conf.options
	if !slices.ContainsFunc(r.Servers, loopback) {
		return r
	}
	for _, p := range upstreamFiles {
		if p == r.Path {
			continue
		}
		up := parseResolvConf(h.text(p)).servers
		if len(up) > 0 && !slices.ContainsFunc(up, loopback) {
			r.Upstreams, r.UpstreamPath = up, p
			break
		}
	}
	return r
}

// listening lists listening sockets, one for each protocol, address and port.
func (h *host) listening() []facts.Listener {
	var out []facts.Listener
	owners := map[string]*facts.Listener{}
	seen := map[facts.Listener]bool{}
	inodes := []string{}
	for _, t := range []struct{ file, proto, state string }{
		{"tcp", "tcp", "0A"}, {"tcp6", "tcp", "0A"}, {"udp", "udp", "07"}, {"udp6", "udp", "07"},
	} {
		for _, s := range parseSockets(h.text("/proc/net/"+t.file), t.state) {
			l := facts.Listener{Proto: t.proto, Address: s.addr.Addr().String(), Port: int(s.addr.Port())}
			if !seen[l] {
				seen[l] = true
				out = append(out, l)
				inodes = append(inodes, s.inode)
			}
		}
	}
	for i := range out {
		owners["socket:["+inodes[i]+"]"] = &out[i]
	}
	if len(owners) > 0 {
		h.nameOwners(owners)
	}
	slices.SortFunc(out, func(a, b facts.Listener) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Address, b.Address))
	})
	return out
}

// nameOwners finds the processes that hold the sockets, as far as they can be
// seen.
func (h *host) nameOwners(owners map[string]*facts.Listener) {
	procs, err := os.ReadDir(h.path("/proc"))
	if err != nil {
		return
	}
	left := len(owners)
	for _, p := range procs {
		if left == 0 {
			return
		}
		if p.Name()[0] < '0' || p.Name()[0] > '9' {
			continue
		}
		dir := filepath.Join("/proc", p.Name())
		fds, err := os.ReadDir(h.path(dir + "/fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			target, err := os.Readlink(h.path(dir + "/fd/" + fd.Name()))
			if err != nil || !strings.HasPrefix(target, "socket:") {
				continue
			}
			if l := owners[target]; l != nil && l.Process == "" {
				l.Process = h.line(dir + "/comm")
				left--
			}
		}
	}
}

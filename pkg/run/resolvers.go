package run

import (
	"net/netip"
	"os"
	"strings"
)

// ownResolvers gives the name servers of the admin's machine that others could
// use too: loopback stubs are left out. They serve pods only where a host's own
// resolver is a stub that hides its upstreams, and that is told as a warning.
func ownResolvers() []string {
	for _, file := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if servers := nameservers(string(raw)); len(servers) > 0 {
			return servers
		}
	}
	return nil
}

func nameservers(conf string) []string {
	var out []string
	for line := range strings.Lines(conf) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil && !a.IsLoopback() {
			out = append(out, f[1])
		}
	}
	return out
}

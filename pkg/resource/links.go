package resource

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/netlink"
	"kforge.dev/kforge/pkg/spec"
)

type noLinksKind struct{ want *spec.NoLinks }

type noLinksState struct {
	names     []string
	routes    []netlink.Route
	addresses []netlink.Address
}

func (k noLinksKind) observe(_ context.Context, s *session) (observed, error) {
	st := &noLinksState{}
	const net = "/sys/class/net"
	all := readNames(s, net)
	for _, pattern := range k.want.Names {
		for _, name := range all {
			if ok, err := filepath.Match(pattern, name); err != nil {
				return nil, diag.Wrap(diag.Invalid, "check interface "+pattern, err)
			} else if ok && !slices.Contains(st.names, name) {
				st.names = append(st.names, name)
			}
		}
	}
	// Ports of a bridge of ours are pods' ends. Others' may be ports of it too, so
	// only virtual pairs go.
	for _, name := range all {
		master, err := os.Readlink(s.path(filepath.Join(net, name, "master")))
		if err == nil && strings.HasPrefix(name, "veth") && slices.Contains(st.names, filepath.Base(master)) {
			st.names = append(st.names, name)
		}
	}
	var in []netip.Prefix
	for _, text := range k.want.RoutesIn {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, "check network "+text, err)
		}
		in = append(in, p)
	}
	var ips []netip.Addr
	for _, text := range k.want.Addresses {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, "check address "+text, err)
		}
		ips = append(ips, ip)
	}
	var err error
	if st.routes, err = s.Kernel.Routes(in); err != nil {
		return nil, err
	}
	st.addresses, err = s.Kernel.Addresses(ips)
	return st, err
}

func (st *noLinksState) diff(*session) ([]spec.Change, error) {
	var lines []string
	for _, name := range st.names {
		lines = append(lines, "interface "+name)
	}
	for _, r := range st.routes {
		lines = append(lines, "route to "+r.To.String())
	}
	for _, a := range st.addresses {
		lines = append(lines, "address "+a.IP.String())
	}
	return removal("link", lines), nil
}

// apply takes routes first: with their interface the kernel drops them anyway.
func (st *noLinksState) apply(_ context.Context, s *session) error {
	for _, r := range st.routes {
		if err := s.Kernel.DeleteRoute(r); err != nil {
			return err
		}
	}
	for _, a := range st.addresses {
		if err := s.Kernel.DeleteAddress(a); err != nil {
			return err
		}
	}
	for _, name := range st.names {
		if err := s.Kernel.DeleteLink(name); err != nil {
			return err
		}
	}
	return nil
}

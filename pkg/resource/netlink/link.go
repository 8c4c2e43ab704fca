package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// DeleteLink takes an interface away. One that is gone already is no error.
func DeleteLink(name string) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil //nolint:nilerr // there is no other error than that it is not there
	}
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(link.Index))
	return remove("interface "+name, unix.RTM_DELLINK, body, unix.ENODEV)
}

// Route of the main table.
type Route struct {
	To  netip.Prefix
	raw []byte // the route as the kernel told it, which names it exactly
}

// Routes of the main table that lie inside one of these networks.
func Routes(in []netip.Prefix) ([]Route, error) {
	if len(in) == 0 {
		return nil, nil
	}
	var out []Route
	err := list("routes", unix.RTM_GETROUTE, unix.SizeofRtMsg, func(body []byte) {
		if r, ok := mainRoute(body); ok && slices.ContainsFunc(in, func(p netip.Prefix) bool {
			return p.Contains(r.To.Addr()) && r.To.Bits() >= p.Bits()
		}) {
			out = append(out, r)
		}
	})
	return out, err
}

// mainRoute reads a unicast route of the main table that has a destination.
func mainRoute(body []byte) (Route, bool) {
	if body[4] != unix.RT_TABLE_MAIN || body[7] != unix.RTN_UNICAST {
		return Route{}, false
	}
	addr, ok := netip.AddrFromSlice(parse(body[unix.SizeofRtMsg:]).find(unix.RTA_DST))
	if !ok {
		return Route{}, false
	}
	return Route{To: netip.PrefixFrom(addr, int(body[1])), raw: slices.Clone(body)}, true
}

// DeleteRoute takes a route away. One that is gone already is no error.
func DeleteRoute(r Route) error {
	return remove("route to "+r.To.String(), unix.RTM_DELROUTE, r.raw, unix.ESRCH)
}

// Address of an interface.
type Address struct {
	IP  netip.Addr
	raw []byte // the address as the kernel told it
}

// Addresses gives those of these addresses that interfaces have.
func Addresses(ips []netip.Addr) ([]Address, error) {
	if len(ips) == 0 {
		return nil, nil
	}
	var out []Address
	err := list("addresses", unix.RTM_GETADDR, unix.SizeofIfAddrmsg, func(body []byte) {
		attributes := parse(body[unix.SizeofIfAddrmsg:])
		own := attributes.find(unix.IFA_LOCAL) // IFA_ADDRESS is the other end of a point-to-point link
		if own == nil {
			own = attributes.find(unix.IFA_ADDRESS)
		}
		if ip, ok := netip.AddrFromSlice(own); ok && slices.Contains(ips, ip) {
			out = append(out, Address{IP: ip, raw: slices.Clone(body)})
		}
	})
	return out, err
}

// DeleteAddress takes an address away. One that is gone already is no error.
func DeleteAddress(a Address) error {
	return remove("address "+a.IP.String(), unix.RTM_DELADDR, a.raw, unix.EADDRNOTAVAIL)
}

// list asks for all objects of a kind, whose messages begin with a header of that
// size.
func list(what string, kind uint16, header int, each func(body []byte)) error {
	c, err := open(unix.NETLINK_ROUTE)
	if err == nil {
		defer c.Close()
		err = c.dump(kind, make([]byte, header), func(body []byte) {
			if len(body) >= header {
				each(body)
			}
		})
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", what, err)
	}
	return nil
}

// remove takes an object away; gone is the kernel's answer when it is not there.
func remove(what string, kind uint16, body []byte, gone unix.Errno) error {
	c, err := open(unix.NETLINK_ROUTE)
	if err == nil {
		defer c.Close()
		err = c.ask(kind, body)
	}
	if err != nil && !errors.Is(err, gone) {
		return fmt.Errorf("deleting %s: %w", what, err)
	}
	return nil
}

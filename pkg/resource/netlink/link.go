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
	c, err := open(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("deleting interface %s: %w", name, err)
	}
	defer c.Close()
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(link.Index))
	if err := c.ask(unix.RTM_DELLINK, body); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("deleting interface %s: %w", name, err)
	}
	return nil
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
	c, err := open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	defer c.Close()
	var out []Route
	err = c.dump(unix.RTM_GETROUTE, make([]byte, unix.SizeofRtMsg), func(body []byte) {
		if r, ok := mainRoute(body); ok {
			for _, p := range in {
				if p.Contains(r.To.Addr()) && r.To.Bits() >= p.Bits() {
					out = append(out, r)
					return
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return out, nil
}

// mainRoute reads a unicast route of the main table that has a destination.
func mainRoute(body []byte) (Route, bool) {
	if len(body) < unix.SizeofRtMsg || body[4] != unix.RT_TABLE_MAIN || body[7] != unix.RTN_UNICAST {
		return Route{}, false
	}
	addr, ok := netip.AddrFromSlice(parse(body[unix.SizeofRtMsg:]).find(unix.RTA_DST))
	if !ok {
		return Route{}, false
	}
	return Route{To: netip.PrefixFrom(addr, int(body[1])), raw: append([]byte(nil), body...)}, true
}

// DeleteRoute takes a route away. One that is gone already is no error.
func DeleteRoute(r Route) error {
	c, err := open(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("deleting route to %s: %w", r.To, err)
	}
	defer c.Close()
	if err := c.ask(unix.RTM_DELROUTE, r.raw); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("deleting route to %s: %w", r.To, err)
	}
	return nil
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
	c, err := open(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	defer c.Close()
	var out []Address
	err = c.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), func(body []byte) {
		if len(body) < unix.SizeofIfAddrmsg {
			return
		}
		attributes := parse(body[unix.SizeofIfAddrmsg:])
		own := attributes.find(unix.IFA_LOCAL) // IFA_ADDRESS is the other end of a point-to-point link
		if own == nil {
			own = attributes.find(unix.IFA_ADDRESS)
		}
		if ip, ok := netip.AddrFromSlice(own); ok && slices.Contains(ips, ip) {
			out = append(out, Address{IP: ip, raw: append([]byte(nil), body...)})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	return out, nil
}

// DeleteAddress takes an address away. One that is gone already is no error.
func DeleteAddress(a Address) error {
	c, err := open(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("deleting address %s: %w", a.IP, err)
	}
	defer c.Close()
	if err := c.ask(unix.RTM_DELADDR, a.raw); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("deleting address %s: %w", a.IP, err)
	}
	return nil
}

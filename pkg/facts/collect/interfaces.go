package collect

import (
	"cmp"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// interfaces lists what is up, but for loopback, and the network cards that are
// down. Below another root, whose addresses the kernel does not tell, /sys
// alone is read.
func (h *host) interfaces() (up, idle []facts.Interface) {
	for _, i := range h.links() {
		h.describe(&i)
		switch {
		case i.Up:
			up = append(up, i)
		case i.Kind == "nic":
			idle = append(idle, i)
		}
	}
	return up, idle
}

func (h *host) links() []facts.Interface {
	var out []facts.Interface
	if h.live() {
		all, err := net.Interfaces()
		if err != nil {
			return nil
		}
		for _, i := range all {
			if i.Flags&net.FlagLoopback != 0 {
				continue
			}
			f := facts.Interface{Name: i.Name, MAC: i.HardwareAddr.String(), MTU: i.MTU, Up: i.Flags&net.FlagUp != 0}
			addrs, err := i.Addrs()
			if err != nil {
				continue // it went away meanwhile
			}
			for _, a := range addrs {
				f.Addresses = append(f.Addresses, a.String())
			}
			out = append(out, f)
		}
		return out
	}
	for _, dir := range h.glob("/sys/class/net/*") {
		flags, err := strconv.ParseUint(h.line(dir+"/flags"), 0, 32)
		if err != nil || flags&8 != 0 { // IFF_LOOPBACK
			continue
		}
		out = append(out, facts.Interface{Name: filepath.Base(dir), MAC: h.line(dir + "/address"), MTU: h.number(dir + "/mtu"), Up: flags&1 != 0})
	}
	return out
}

// describe adds what /sys tells of an interface. A card that has no link does
// not tell its speed, or tells -1.
func (h *host) describe(i *facts.Interface) {
	dir := "/sys/class/net/" + i.Name
	if link, err := os.Readlink(h.path(dir + "/master")); err == nil {
		i.Master = filepath.Base(link)
	}
	i.Kind = "virtual"
	for line := range strings.Lines(h.text(dir + "/uevent")) {
		if t, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVTYPE="); ok && t != "wlan" {
			i.Kind = t
		}
	}
	switch {
	case h.exists(dir + "/device"):
		i.Kind = "nic"
		i.NUMA = h.numaOf(dir + "/device")
		if link, err := os.Readlink(h.path(dir + "/device/driver")); err == nil {
			i.Driver = filepath.Base(link)
		}
	case i.Kind != "virtual":
	case h.exists(dir + "/bonding"):
		i.Kind = "bond"
	case h.exists(dir + "/bridge"):
		i.Kind = "bridge"
	case h.exists(dir + "/tun_flags"):
		i.Kind = "tun"
	case h.number(dir+"/iflink") != h.number(dir+"/ifindex") && h.number(dir+"/iflink") != 0:
		i.Kind = "veth" // vlan and macvlan name themselves
	}
	if i.Kind == "nic" || i.Kind == "bond" { // others make one up
		i.SpeedMbit = max(0, h.number(dir+"/speed"))
	}
}

// defaultRoutes reads those of both families, the lowest metric first.
func defaultRoutes(v4, v6 string) []facts.Route {
	var out []facts.Route
	for line := range strings.Lines(v4) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err1 := strconv.ParseUint(f[3], 16, 32)
		metric, err2 := strconv.ParseUint(f[6], 10, 32)
		if err1 != nil || err2 != nil || flags&1 == 0 || flags&0x200 != 0 { // up, no reject
			continue
		}
		r := facts.Route{Interface: f[0], Metric: uint32(metric)}
		if gw, ok := parseHexAddr(f[2] + ":0000"); ok && !gw.Addr().IsUnspecified() {
			r.Gateway = gw.Addr().String()
		}
		out = append(out, r)
	}
	// Destination, its length, source, its length, gateway, metric, ..., flags, interface.
	for line := range strings.Lines(v6) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != strings.Repeat("0", 32) || f[1] != "00" || f[9] == "lo" {
			continue
		}
		flags, err1 := strconv.ParseUint(f[8], 16, 32)
		metric, err2 := strconv.ParseUint(f[5], 16, 32)
		if err1 != nil || err2 != nil || flags&1 == 0 || flags&0x200 != 0 {
			continue
		}
		r := facts.Route{Interface: f[9], Metric: uint32(metric)}
		if raw, err := hex.DecodeString(f[4]); err == nil {
			if gw, ok := netip.AddrFromSlice(raw); ok && !gw.IsUnspecified() {
				r.Gateway = gw.String()
			}
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b facts.Route) int { return cmp.Compare(a.Metric, b.Metric) })
	return out
}

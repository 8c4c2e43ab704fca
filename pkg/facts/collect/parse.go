package collect

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

func parseOSRelease(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		if u, err := strconv.Unquote(value); err == nil {
			value = u
		} else {
			value = strings.Trim(value, `'"`)
		}
		m[key] = value
	}
	return m
}

func parseCaps(status string) uint64 {
	for line := range strings.Lines(status) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			caps, _ := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return caps
		}
	}
	return 0
}

func parseModules(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 {
			names = append(names, f[0])
		}
	}
	sort.Strings(names)
	return names
}

// parseCPU counts from the list of CPUs on line ("0-3,8"), else from cpuinfo.
func parseCPU(cpuinfo, online string) facts.CPU {
	var c facts.CPU
	sockets, cores := map[string]bool{}, map[string]bool{}
	processors, socket := 0, ""
	for line := range strings.Lines(cpuinfo) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			processors++
		case "model name", "cpu model":
			if c.Model == "" {
				c.Model = value
			}
		case "physical id":
			socket = value
			sockets[value] = true
		case "core id":
			cores[socket+"/"+value] = true
		}
	}
	c.Logical = countList(strings.TrimSpace(online))
	if c.Logical == 0 {
		c.Logical = processors
	}
	c.Sockets, c.Cores = max(1, len(sockets)), len(cores)
	return c
}

func countList(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(to); err != nil {
				return 0
			}
		}
		if b < a || b > 1<<20 {
			return 0
		}
		n += b - a + 1
	}
	return n
}

func parseMemory(meminfo string) facts.Memory {
	var m facts.Memory
	for line := range strings.Lines(meminfo) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			continue
		}
		switch f[0] {
		case "MemTotal:":
			m.Total = kib << 10
		case "MemAvailable:":
			m.Available = kib << 10
		}
	}
	return m
}

func parseSwaps(text string) []facts.SwapArea {
	var areas []facts.SwapArea
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "Filename" {
			continue
		}
		size, err1 := strconv.ParseUint(f[2], 10, 64)
		used, err2 := strconv.ParseUint(f[3], 10, 64)
		if err1 == nil && err2 == nil {
			areas = append(areas, facts.SwapArea{Path: unescape(f[0]), Type: f[1], Size: size << 10, Used: used << 10})
		}
	}
	return areas
}

func parseFstabSwap(text string) []string {
	var devices []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 3 && !strings.HasPrefix(f[0], "#") && f[2] == "swap" {
			devices = append(devices, f[0])
		}
	}
	return devices
}

// parseDefaultRoute gives the interface of the IPv4 default route with the
// lowest metric. The table is in host byte order, where zero is zero.
func parseDefaultRoute(text string) string {
	best, name := uint64(1<<63), ""
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		if err != nil || flags&1 == 0 { // RTF_UP
			continue
		}
		if metric, err := strconv.ParseUint(f[6], 10, 32); err == nil && metric < best {
			best, name = metric, f[0]
		}
	}
	return name
}

// resolvConf is what counts in a resolv.conf.
type resolvConf struct{ servers, search, options []string }

func parseResolvConf(text string) resolvConf {
	var r resolvConf
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			r.servers = append(r.servers, f[1])
		case "search":
			r.search = slices.Clone(f[1:])
		case "domain":
			r.search = []string{f[1]}
		case "options":
			r.options = append(r.options, f[1:]...)
		}
	}
	return r
}

func loopback(server string) bool {
	a, err := netip.ParseAddr(server)
	return err == nil && a.Unmap().IsLoopback()
}

// socket is a listening socket of /proc/net.
type socket struct {
	addr  netip.AddrPort
	inode string
}

// parseSockets reads /proc/net/{tcp,tcp6,udp,udp6}. TCP sockets listen in state
// 0A; a UDP socket that is bound and not connected is in state 07.
func parseSockets(text, state string) []socket {
	var out []socket
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != state {
			continue
		}
		if a, ok := parseHexAddr(f[1]); ok && a.Port() != 0 {
			out = append(out, socket{a, f[9]})
		}
	}
	return out
}

// parseHexAddr reads 0100007F:0035: 32-bit words in little-endian order, as all
// architectures that we build for are.
func parseHexAddr(s string) (netip.AddrPort, bool) {
	addr, port, ok := strings.Cut(s, ":")
	if !ok {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(addr)
	p, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// mount is a line of /proc/self/mountinfo.
type mount struct {
	point, kind  string
	root, source string // the part of the file system that is mounted, and its device
	options      []string
}

func parseMountinfo(text string) []mount {
	var out []mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		b, a := strings.Fields(before), strings.Fields(after)
		if ok && len(b) >= 6 && len(a) >= 1 {
			m := mount{point: unescape(b[4]), root: unescape(b[3]), kind: a[0], options: strings.Split(b[5], ",")}
			if len(a) >= 2 {
				m.source = unescape(a[1])
			}
			out = append(out, m)
		}
	}
	return out
}

// mountOf gives the mount that a path lies on: the longest, and of several on
// one point the last, which hides the others.
func mountOf(mounts []mount, path string) mount {
	var best mount
	for _, m := range mounts {
		inside := m.point == "/" || path == m.point || strings.HasPrefix(path, m.point+"/")
		if inside && len(m.point) >= len(best.point) {
			best = m
		}
	}
	return best
}

// unescape undoes the octal escapes of /proc files: \040 is a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

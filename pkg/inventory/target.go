package inventory

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// Target is a host as an argument of `kforge init` names it.
type Target struct {
	Name    string
	User    string // empty when not given
	Address string // name or IP, IPv6 without brackets
	Port    int    // 0 when not given
}

// ParseTargets reads arguments such as node1=root@10.0.0.1:2222, node1=10.0.0.1
// or 10.0.0.1. Targets without a name are called node1, node2 ... as far as
// these are free. Its errors, of kind Invalid, come all at once.
func ParseTargets(args []string) ([]Target, error) {
	const op = "read hosts"
	var errs errlist.List
	if len(args) == 0 {
		errs.Add(diag.New(diag.Invalid, op, "no hosts are given").WithHint("name them: kforge init node1=10.0.0.1 node2=10.0.0.2"))
	}
	targets := make([]Target, len(args))
	taken, places := map[string]bool{}, map[string]string{}
	for i, arg := range args {
		name, rest, named := strings.Cut(arg, "=")
		if !named {
			name, rest = "", arg
		}
		t, err := parseTarget(rest)
		if err == nil && named {
			err = checkNodeName(name)
		}
		if err != nil {
			errs.Add(diag.Wrap(diag.Invalid, op, fmt.Errorf("%q: %w", arg, err)).WithHint("write NAME=[USER@]ADDRESS[:PORT], or an address alone"))
			continue
		}
		place := net.JoinHostPort(strings.ToLower(t.Address), strconv.Itoa(t.Port))
		if named && taken[name] {
			errs.Add(diag.New(diag.Invalid, op, "%q: the name %q is given twice", arg, name))
		}
		if before, ok := places[place]; ok {
			errs.Add(diag.New(diag.Invalid, op, "%q: the same address as %q", arg, before))
		}
		t.Name, taken[name], places[place] = name, true, arg
		targets[i] = t
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	next := 1
	for i := range targets {
		for targets[i].Name == "" {
			if name := "node" + strconv.Itoa(next); !taken[name] {
				targets[i].Name = name
			}
			next++
		}
	}
	return targets, nil
}

// parseTarget reads [user@]host[:port].
func parseTarget(s string) (Target, error) {
	var t Target
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		t.User, s = s[:i], s[i+1:]
		if t.User == "" {
			return t, errors.New("the user before @ is empty")
		}
		if err := checkUser(t.User); err != nil {
			return t, err
		}
	}
	var err error
	if t.Address, t.Port, err = splitHostPort(s); err != nil {
		return t, err
	}
	return t, checkAddress(t.Address)
}

// splitHostPort reads host[:port], where an IPv6 address with a port stands in
// brackets. The port is 0 when there is none.
func splitHostPort(s string) (host string, port int, err error) {
	if s == "" {
		return "", 0, errors.New("the address is empty")
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		return s, 0, nil
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s[1 : len(s)-1], 0, nil
	}
	if !strings.Contains(s, ":") {
		return s, 0, nil
	}
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", s)
	}
	if host == "" {
		return "", 0, fmt.Errorf("%q has no host before the port", s)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("the port %q is not a number from 1 to 65535", p)
	}
	return host, port, nil
}

package ssh

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// maxJumps bounds nested ProxyJump, so that a circle is an error.
const maxJumps = 8

// hop is one SSH server on the way, with everything decided: what the caller
// wrote, else ~/.ssh/config, else the defaults.
type hop struct {
	name  string // for errors
	alias string // what ~/.ssh/config was asked for
	host  string
	port  int
	user  string
	pin   string
	limit time.Duration // of one connection and its handshake

	identities     []string // IdentityFile of ~/.ssh/config, paths expanded
	identitiesOnly bool
	jumps          []string // ProxyJump of ~/.ssh/config
}

func (h hop) addr() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// String is user@host:port, as a person would write it.
func (h hop) String() string { return h.user + "@" + h.addr() }

// resolve fills in what t leaves open.
func (d *Dialer) resolve(t Target) (hop, error) {
	alias := t.Address
	if alias == "" {
		alias = t.Name
	}
	if alias == "" {
		return hop{}, diag.New(diag.Invalid, "dial ssh", "the target has neither name nor address")
	}
	h := hop{name: t.Name, alias: alias, host: alias, user: t.User, port: t.Port, pin: t.HostKey, limit: cmp.Or(t.ConnectTimeout, d.cfg.ConnectTimeout)}
	if h.name == "" {
		h.name = alias
	}
	if err := d.userConfig.apply(&h); err != nil {
		return hop{}, err
	}
	if h.user == "" {
		h.user = d.login
	}
	if h.port == 0 {
		h.port = 22
	}
	if h.port < 1 || h.port > 65535 {
		return hop{}, diag.New(diag.Invalid, "dial ssh", "port %d is not between 1 and 65535", h.port).On(h.name)
	}
	if h.user == "" {
		return hop{}, diag.New(diag.Invalid, "dial ssh", "no user name").On(h.name).WithHint("set ssh.user in the inventory")
	}
	return h, nil
}

// chain gives the bastions in front of h, outermost first. A host that is
// itself one of them is reached without jumping to itself.
func (d *Dialer) chain(h hop) ([]hop, error) {
	specs := d.cfg.Bastions
	if len(specs) == 0 {
		specs = h.jumps
	}
	out, err := d.expand(specs, 0)
	if err != nil {
		return nil, diag.Wrap(diag.KindOf(err), "find bastions", err).On(h.name)
	}
	for i, b := range out {
		if b.addr() == h.addr() {
			return out[:i], nil
		}
	}
	return out, nil
}

// expand resolves bastions, and what ~/.ssh/config puts in front of the first.
func (d *Dialer) expand(specs []string, depth int) ([]hop, error) {
	if depth > maxJumps {
		return nil, diag.New(diag.Invalid, "", "ProxyJump goes in a circle at %q", strings.Join(specs, ",")).
			WithHint("check ProxyJump in %s", d.cfg.ConfigFile)
	}
	var out []hop
	for i, spec := range specs {
		t, err := parseSpec(spec)
		if err != nil {
			return nil, err
		}
		b, err := d.resolve(t)
		if err != nil {
			return nil, err
		}
		b.name = "bastion " + t.Address
		if i == 0 && len(b.jumps) > 0 {
			before, err := d.expand(b.jumps, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, before...)
		}
		out = append(out, b)
	}
	return out, nil
}

// parseSpec reads [ssh://][user@]host[:port]; an IPv6 address with a port
// stands in brackets.
func parseSpec(spec string) (Target, error) {
	var t Target
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(spec), "ssh://"), "/")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		t.User, rest = rest[:i], rest[i+1:]
	}
	t.Address = rest
	if host, port, err := net.SplitHostPort(rest); err == nil {
		t.Address = host
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return Target{}, diag.New(diag.Invalid, "", "bastion %q: port %q is not between 1 and 65535", spec, port)
		}
		t.Port = n
	} else {
		t.Address = strings.TrimSuffix(strings.TrimPrefix(rest, "["), "]")
	}
	if t.Address == "" || strings.ContainsAny(t.Address, " \t,") {
		return Target{}, diag.New(diag.Invalid, "", "bastion %q is not [user@]host[:port]", spec)
	}
	return t, nil
}

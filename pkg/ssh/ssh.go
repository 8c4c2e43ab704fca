// Package ssh reaches hosts: it dials them (through bastions where there are
// any), proves their host keys, signs in with keys, keeps the link under watch,
// and offers sessions, uploads and tunnels on it. It knows nothing of sudo, of
// the agent or of what runs over a session, and it is the only package that
// knows the SSH libraries.
package ssh

import (
	"context"
	"net"
	"strings"
	"time"
)

// Values of [Config.HostKeys].
const (
	AcceptNew = "accept-new" // an unknown key is recorded, a changed one stops the host
	Strict    = "strict"     // an unknown key stops the host too
)

// Target is a host to dial.
type Target struct {
	Name    string // how errors call it; empty means Address
	Address string // host name, IP address or alias in ~/.ssh/config
	User    string // empty: ~/.ssh/config, then the login name
	Port    int    // 0: ~/.ssh/config, then 22
	// HostKey pins the host's key, "ssh-ed25519 AAAA..." or "SHA256:...", and
	// wins over known_hosts.
	HostKey string
	// ConnectTimeout replaces Config.ConnectTimeout for this host, for slow
	// machines; 0 is that of Config.
	ConnectTimeout time.Duration
}

// KeepAlive tells how a dead link is noticed. Any byte received is a sign of
// life; one ping is in flight at most.
type KeepAlive struct {
	Interval time.Duration // silence after which the other side is asked, default 15s
	Dead     time.Duration // silence after which the connection is closed, default 45s
}

// Config says how hosts are reached. The zero value works: default keys, no
// ~/.ssh/config, no SSH agent, accept-new.
type Config struct {
	// IdentityFiles are private keys ("~/" is the home directory). Without any,
	// those of ~/.ssh/config count, and without those ~/.ssh/id_*.
	IdentityFiles []string
	KnownHosts    string // default ~/.ssh/known_hosts
	HostKeys      string // AcceptNew (default) or Strict
	// Bastions are passed through in order, each [user@]host[:port]. Without
	// any, ProxyJump of ~/.ssh/config counts.
	Bastions       []string
	ConfigFile     string        // usually ~/.ssh/config; empty means none
	ConnectTimeout time.Duration // TCP and handshake of one hop, default 15s
	KeepAlive      KeepAlive
	// Passphrase asks for the passphrase of a key file. It is called for one
	// file at a time, and not again for a file once its key is open. Nil means
	// nobody can be asked.
	Passphrase func(ctx context.Context, keyFile string) ([]byte, error)
	// Warn tells a person about something that was left out. Nil drops it.
	Warn        func(string)
	UseAgent    bool   // offer the keys of the SSH agent
	AgentSocket string // default $SSH_AUTH_SOCK
	// NetDial opens the TCP connection of the first hop; tests replace it.
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (c Config) withDefaults() Config {
	if c.HostKeys == "" {
		c.HostKeys = AcceptNew
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 15 * time.Second
	}
	if c.KeepAlive.Interval <= 0 {
		c.KeepAlive.Interval = 15 * time.Second
	}
	if c.KeepAlive.Dead <= 0 {
		c.KeepAlive.Dead = 3 * c.KeepAlive.Interval
	}
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.NetDial == nil {
		c.NetDial = (&net.Dialer{}).DialContext
	}
	return c
}

// Quote makes one word of s for a POSIX shell. Nothing in s is special inside
// single quotes, and a single quote is put outside of them.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

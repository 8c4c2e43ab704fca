package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sync"
	"time"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// Dialer dials hosts. It is safe for hundreds of calls at once: no lock is held
// while dialling.
type Dialer struct {
	cfg        Config
	home       string
	login      string
	userConfig *userConfig
	known      *knownHosts
	keys       *keyring

	ctx    context.Context // over when the dialer is closed
	cancel context.CancelFunc
	wg     sync.WaitGroup // dials and what they left running

	mu       sync.Mutex
	closed   bool
	conns    map[*Conn]struct{}
	bastions map[string]*bastion
}

// NewDialer reads ~/.ssh/config, if it is named, and checks cfg. Keys and
// known_hosts are read when the first host is dialled.
func NewDialer(cfg Config) (*Dialer, error) {
	cfg = cfg.withDefaults()
	if cfg.HostKeys != AcceptNew && cfg.HostKeys != Strict {
		return nil, diag.New(diag.Invalid, "set up ssh", "hostKeys is %q, and must be %s or %s", cfg.HostKeys, AcceptNew, Strict)
	}
	for _, b := range cfg.Bastions {
		if _, err := parseSpec(b); err != nil {
			return nil, err
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "set up ssh", err).WithHint("set HOME")
	}
	d := &Dialer{cfg: cfg, home: home, login: os.Getenv("USER"), conns: map[*Conn]struct{}{}, bastions: map[string]*bastion{}}
	if u, err := user.Current(); err == nil {
		d.login = u.Username
	}
	d.userConfig, err = readUserConfig(homePath(home, cfg.ConfigFile), home, d.login, cfg.Warn)
	if err != nil {
		return nil, err
	}
	file := homePath(home, cfg.KnownHosts)
	if file == "" {
		file = filepath.Join(home, ".ssh", "known_hosts")
	}
	d.known = &knownHosts{file: file, strict: cfg.HostKeys == Strict, warn: cfg.Warn}
	d.keys = &keyring{home: home, ask: cfg.Passphrase, files: map[string]*keyFile{}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Close stops dials under way, closes every connection of the dialer and waits
// for all that it started.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	conns := make([]*Conn, 0, len(d.conns))
	for c := range d.conns {
		conns = append(conns, c)
	}
	d.mu.Unlock()
	d.cancel()
	// All at once: closing a host behind a dead bastion ends only with that
	// bastion's own connection.
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() { c.Close() })
	}
	wg.Wait()
	d.wg.Wait()
	return nil
}

// begin counts one more piece of work, unless the dialer is closed.
func (d *Dialer) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.wg.Add(1)
	return true
}

// keep remembers an open connection, unless the dialer is closed.
func (d *Dialer) keep(c *Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.conns[c] = struct{}{}
	return true
}

func (d *Dialer) forget(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// Dial opens a connection to t, signs in and watches it from then on. Errors
// are of kind Unreachable, Auth, HostKey, Transport, Timeout, Canceled,
// Unsupported or Invalid, and name the hop that failed.
func (d *Dialer) Dial(ctx context.Context, t Target) (*Conn, error) {
	h, err := d.resolve(t)
	if err != nil {
		return nil, err
	}
	if !d.begin() {
		return nil, diag.Wrap(diag.Canceled, "dial "+h.addr(), errClosed).On(h.name)
	}
	defer d.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	chain, err := d.chain(h)
	if err != nil {
		return nil, err
	}
	c, err := d.reach(ctx, chain, h)
	if err != nil && diag.HostOf(err) != h.name {
		// A bastion failed: tell for which host, and keep who is to blame.
		return nil, diag.Wrap(diag.KindOf(err), "reach through bastion", err).On(h.name)
	}
	return c, err
}

// reach dials h behind chain.
func (d *Dialer) reach(ctx context.Context, chain []hop, h hop) (*Conn, error) {
	held := d.agentKeys(ctx)
	defer held.close()
	o, err := d.offer(ctx, h, held)
	if err != nil {
		return nil, orEnded(ctx, "open keys", h, err)
	}
	if len(o.signers) == 0 {
		return nil, refused(h, o, nil)
	}
	v, err := d.verifier(h)
	if err != nil {
		return nil, diag.Wrap(diag.KindOf(err), "dial "+h.addr(), err).On(h.name)
	}
	dial, release := dialFunc(d.cfg.NetDial), func() {}
	if len(chain) > 0 {
		lease, err := d.bastion(chain).acquire(ctx)
		if err != nil {
			return nil, err
		}
		leave, err := lease.enter(ctx)
		if err != nil {
			lease.release()
			return nil, orEnded(ctx, "wait for the bastion", h, err)
		}
		defer leave()
		dial, release = lease.conn.client.DialContext, lease.release
	}
	c, err := d.attempt(ctx, dial, h, o, v)
	if err != nil {
		release()
		return nil, err
	}
	c.start(release)
	if !d.keep(c) {
		c.Close()
		return nil, diag.Wrap(diag.Canceled, "dial "+h.addr(), errClosed).On(h.name)
	}
	return c, nil
}

// dialFunc opens a byte stream to an address.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// attempt connects with each choice of host key algorithms until one fits. A
// host that has no key of a kind says less than one that shows a wrong key.
func (d *Dialer) attempt(ctx context.Context, dial dialFunc, h hop, o offer, v verifier) (*Conn, error) {
	var worst error
	for _, algos := range v.attempts {
		c, err := d.connect(ctx, dial, h, o, v.check, algos)
		if err == nil {
			return c, nil
		}
		var lacks *cssh.AlgorithmNegotiationError
		lacking := errors.As(err, &lacks)
		if !lacking && diag.KindOf(err) != diag.HostKey {
			return nil, err
		}
		if worst == nil || !lacking {
			worst = err
		}
	}
	return nil, worst
}

// connect makes one TCP connection and one handshake within the hop's limit.
func (d *Dialer) connect(ctx context.Context, dial dialFunc, h hop, o offer,
	check func(cssh.PublicKey) error, algos []string) (*Conn, error) {
	limit, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	sock, err := dial(limit, "tcp", h.addr())
	if err != nil {
		return nil, orEnded(ctx, "dial "+h.addr(), h, unreachable(h, err))
	}
	link := newLink(sock)
	// Closing is what ends a handshake for sure; the deadline does it for
	// sockets, the callback for tunnels, which know no deadlines.
	if t, ok := limit.Deadline(); ok {
		_ = link.SetDeadline(t) // a tunnel refuses it
	}
	stop := context.AfterFunc(limit, func() { link.Close() })
	defer stop()

	var verdict error
	config := &cssh.ClientConfig{
		User:              h.user,
		Auth:              []cssh.AuthMethod{cssh.PublicKeys(o.signers...)},
		HostKeyAlgorithms: algos,
		HostKeyCallback: func(_ string, _ net.Addr, key cssh.PublicKey) error {
			verdict = check(key)
			return verdict
		},
		ClientVersion: "SSH-2.0-kforge",
	}
	client, err := d.handshake(limit, link, h.addr(), config)
	if err == nil && !stop() {
		client.Close()
		err = limit.Err()
	}
	if err == nil {
		_ = link.SetDeadline(time.Time{})
		return newConn(d, h, client, link), nil
	}
	if limit.Err() == nil {
		link.Close()
	}
	switch {
	case ctx.Err() != nil:
		return nil, ended(ctx, "ssh handshake with "+h.addr(), h.name)
	case errors.Is(limit.Err(), context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return nil, diag.New(diag.Timeout, "ssh handshake with "+h.addr(), "no end after %s", h.limit).On(h.name).
			WithHint("the port is open but sshd does not get on: look at the host's load, disk and `journalctl -u ssh`")
	case verdict != nil:
		return nil, diag.Wrap(diag.KindOf(verdict), "dial "+h.addr(), verdict).On(h.name)
	}
	return nil, handshakeError(h, o, err)
}

// handshake runs the library's handshake, which takes no context, beside the
// caller, so that even a blocked write ends the wait at once.
func (d *Dialer) handshake(ctx context.Context, link *link, addr string, config *cssh.ClientConfig) (*cssh.Client, error) {
	type result struct {
		client *cssh.Client
		err    error
	}
	done := make(chan result, 1)
	d.wg.Go(func() { // the caller is counted already
		conn, chans, reqs, err := cssh.NewClientConn(link, addr, config)
		if err != nil {
			done <- result{err: err}
			return
		}
		done <- result{client: cssh.NewClient(conn, chans, reqs)}
	})
	select {
	case r := <-done:
		return r.client, r.err
	case <-ctx.Done():
		// The link is closed by now or soon, which ends the handshake, or the
		// client that came too late.
		return nil, ctx.Err()
	}
}

// orEnded prefers the end of ctx, which is the cause, over err, its symptom.
func orEnded(ctx context.Context, op string, h hop, err error) error {
	if e := ended(ctx, op, h.name); e != nil {
		return e
	}
	return err
}

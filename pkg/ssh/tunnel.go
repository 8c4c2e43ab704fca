package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// DialContext opens a stream from the host to address, as seen from there
// (network tcp, or unix for a socket on the host). ctx bounds the opening only.
func (c *Conn) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	op := "tunnel to " + address
	raw, err := call(ctx, c, op, func() (net.Conn, error) { return c.client.Dial(network, address) }, func(n net.Conn) { n.Close() })
	var open *cssh.OpenChannelError
	switch {
	case err == nil:
		return &tunnel{Conn: raw}, nil
	case ctx.Err() != nil:
		return nil, ended(ctx, op, c.hop.name)
	case errors.As(err, &open) && open.Reason == cssh.Prohibited:
		return nil, diag.Wrap(diag.Unsupported, op, err).On(c.hop.name).
			WithHint("set AllowTcpForwarding yes in the host's sshd_config")
	case errors.As(err, &open):
		return nil, diag.Wrap(diag.Unreachable, op, err).On(c.hop.name).
			WithHint("nothing answers at %s, seen from the host", address)
	}
	if err = c.gone(err); diag.KindOf(err) != diag.Unknown {
		return nil, err
	}
	return nil, diag.Wrap(diag.Transport, op, err).On(c.hop.name)
}

// tunnel gives an SSH channel deadlines, which it has none of. One that passes
// closes the tunnel: enough for HTTP and TLS, which drop a connection then, and
// less than a socket offers, which can be read again.
type tunnel struct {
	net.Conn
	read, write alarm
	once        sync.Once
	err         error
}

// alarm is one deadline.
type alarm struct {
	mu    sync.Mutex
	timer *time.Timer
	rang  atomic.Bool
}

// set replaces the deadline; a zero t takes it away.
func (a *alarm) set(t time.Time, ring func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if !t.IsZero() {
		a.timer = time.AfterFunc(time.Until(t), func() {
			a.rang.Store(true)
			ring()
		})
	}
}

// Read fails with os.ErrDeadlineExceeded once the read deadline passed.
func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if err != nil && t.read.rang.Load() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// Write fails with os.ErrDeadlineExceeded once the write deadline passed.
func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	if err != nil && t.write.rang.Load() {
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// SetDeadline sets both deadlines.
func (t *tunnel) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}

// SetReadDeadline closes the tunnel at the given time.
func (t *tunnel) SetReadDeadline(at time.Time) error {
	t.read.set(at, func() { t.close() })
	return nil
}

// SetWriteDeadline closes the tunnel at the given time.
func (t *tunnel) SetWriteDeadline(at time.Time) error {
	t.write.set(at, func() { t.close() })
	return nil
}

// Close closes the tunnel, once.
func (t *tunnel) Close() error {
	t.read.set(time.Time{}, nil)
	t.write.set(time.Time{}, nil)
	return t.close()
}

func (t *tunnel) close() error {
	t.once.Do(func() { t.err = t.Conn.Close() })
	return t.err
}

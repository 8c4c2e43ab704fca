package ssh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

var errClosed = errors.New("the connection is closed")

// Conn is an open, watched connection to one host. It is safe for use by
// several goroutines.
type Conn struct {
	d      *Dialer
	hop    hop
	client *cssh.Client
	link   *link

	done     chan struct{} // closed when the connection is over
	sessions atomic.Int64

	mu     sync.Mutex
	cause  error // why the connection ended, the first reason wins
	ending bool  // nothing new starts
	wg     sync.WaitGroup
}

// Stats counts what happened on a connection.
type Stats struct {
	Sessions int64 // exec and SFTP sessions opened so far
}

func newConn(d *Dialer, h hop, client *cssh.Client, l *link) *Conn {
	return &Conn{d: d, hop: h, client: client, link: l, done: make(chan struct{})}
}

// start watches the connection until it is over; release is called then.
func (c *Conn) start(release func()) {
	ended := make(chan struct{})
	c.wg.Go(func() { c.keepAlive(ended) })
	c.wg.Go(func() {
		err := c.client.Wait()
		close(ended)
		c.link.Close()
		c.fail(diag.Wrap(diag.Transport, "ssh connection to "+c.hop.addr(), orGone(err)).On(c.hop.name).
			WithHint("the host closed the connection or went down: run the command again, it goes on from what it finds"))
		close(c.done)
		c.d.forget(c)
		release()
	})
}

func orGone(err error) error {
	if err == nil {
		return errors.New("the other side closed it")
	}
	return err
}

// fail records why the connection ends, unless a reason is known, and ends it.
func (c *Conn) fail(cause error) {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.ending = true
	c.mu.Unlock()
	c.link.Close()
}

// spawn runs fn in a goroutine that Close waits for. It reports false when the
// connection is over.
func (c *Conn) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return false
	}
	c.wg.Go(fn)
	return true
}

// Name is the inventory name of the host, User who signed in there.
func (c *Conn) Name() string { return c.hop.name }

// User is the name that signed in.
func (c *Conn) User() string { return c.hop.user }

// Done is closed when the connection is over.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err tells why the connection is over, and is nil before [Conn.Done].
func (c *Conn) Err() error {
	select {
	case <-c.done:
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Stats counts what happened so far.
func (c *Conn) Stats() Stats { return Stats{Sessions: c.sessions.Load()} }

// Close ends the connection and all that runs on it, and waits for it.
func (c *Conn) Close() error {
	c.fail(diag.Wrap(diag.Canceled, "ssh connection to "+c.hop.addr(), errClosed).On(c.hop.name))
	c.client.Close()
	c.wg.Wait()
	return nil
}

// gone gives the reason why the connection is over or about to be, else err.
// What failed on a dead link has failed because of it.
func (c *Conn) gone(err error) error {
	c.mu.Lock()
	ending := c.ending
	c.mu.Unlock()
	if ending || c.link.broken.Load() {
		<-c.done // soon: the link is closed
		return c.Err()
	}
	return err
}

// keepAlive asks a silent host for a sign of life, one question at a time, and
// ends the connection when none came for too long. x/crypto has no keep-alive,
// and what waits on a dead link would wait for ever.
func (c *Conn) keepAlive(ended <-chan struct{}) {
	every, dead := c.d.cfg.KeepAlive.Interval, c.d.cfg.KeepAlive.Dead
	answer := make(chan error, 1)
	asked := false
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		silence := c.link.silence()
		next := every - silence
		switch {
		case silence >= dead:
			c.fail(diag.New(diag.Unreachable, "ssh connection to "+c.hop.addr(), "no sign of life for %s", dead).On(c.hop.name).
				WithHint("the host or the network went down: check both, then run the command again"))
			return
		case asked:
			next = dead - silence
		case silence >= every:
			asked = c.spawn(func() {
				_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
				answer <- err
			})
			next = dead - silence
		}
		timer.Reset(next)
		select {
		case <-ended:
			return
		case <-timer.C:
		case err := <-answer:
			if err != nil {
				c.fail(diag.Wrap(diag.Transport, "ssh connection to "+c.hop.addr(), err).On(c.hop.name))
				return
			}
			asked = false
		}
	}
}

// call runs fn, which takes no context, beside the caller. When ctx ends first
// the caller gets its error, and late tidies up what fn made too late.
func call[T any](ctx context.Context, c *Conn, op string, fn func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if e := ended(ctx, op, c.hop.name); e != nil {
		return none, e
	}
	ch := make(chan result)
	if !c.spawn(func() {
		v, err := fn()
		select {
		case ch <- result{v, err}:
		case <-ctx.Done():
			if err == nil {
				late(v)
			}
		}
	}) {
		return none, c.gone(fmt.Errorf("%s: %w", op, errClosed))
	}
	select {
	case r := <-ch:
		return r.value, r.err
	case <-ctx.Done():
		return none, ended(ctx, op, c.hop.name)
	}
}

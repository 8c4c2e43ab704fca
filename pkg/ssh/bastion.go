package ssh

import (
	"context"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/diag"
)

// dialsPerBastion bounds dials under way: sshd drops parallel sign-ins at
// random beyond ten (MaxStartups 10:30:100).
const dialsPerBastion = 8

// bastion is one shared way through a chain of servers: a connection is dialled
// when somebody needs it and closed when nobody does.
type bastion struct {
	d     *Dialer
	chain []hop // the last one is the bastion itself
	gate  chan struct{}

	mu  sync.Mutex
	way *lease // nil, being dialled, or open
}

// lease is one connection to a bastion and those who use it or wait for it.
type lease struct {
	b      *bastion
	cancel context.CancelFunc // ends the dial
	ready  chan struct{}      // closed when conn or err is set
	conn   *Conn
	err    error
	users  int // guarded by b.mu
}

// bastion gives the shared way through chain.
func (d *Dialer) bastion(chain []hop) *bastion {
	var key strings.Builder
	for _, h := range chain {
		key.WriteString(h.String() + ">")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.bastions[key.String()]
	if b == nil {
		b = &bastion{d: d, chain: chain, gate: make(chan struct{}, dialsPerBastion)}
		d.bastions[key.String()] = b
	}
	return b
}

// acquire waits for the connection, which it dials when there is none. All who
// wait share one dial and, when it fails, its error: a dead bastion costs one
// time-out, not one per host.
func (b *bastion) acquire(ctx context.Context) (*lease, error) {
	last := b.chain[len(b.chain)-1]
	b.mu.Lock()
	l := b.way
	if l == nil || l.over() {
		if !b.d.begin() {
			b.mu.Unlock()
			return nil, diag.Wrap(diag.Canceled, "dial "+last.addr(), errClosed).On(last.name)
		}
		dialing, cancel := context.WithCancel(b.d.ctx)
		l = &lease{b: b, cancel: cancel, ready: make(chan struct{})}
		b.way = l
		go l.dial(dialing)
	}
	l.users++
	b.mu.Unlock()
	select {
	case <-l.ready:
	case <-ctx.Done():
		l.release()
		return nil, ended(ctx, "dial "+last.addr(), last.name)
	}
	if l.err != nil {
		l.release()
		return nil, l.err
	}
	return l, nil
}

// dial runs once per lease and belongs to the dialer's wait group.
func (l *lease) dial(ctx context.Context) {
	defer l.b.d.wg.Done()
	defer l.cancel()
	n := len(l.b.chain) - 1
	l.conn, l.err = l.b.d.reach(ctx, l.b.chain[:n], l.b.chain[n])
	close(l.ready)
	l.b.mu.Lock()
	unused := l.users == 0
	l.b.mu.Unlock()
	if unused && l.conn != nil {
		l.conn.Close()
	}
}

// over reports that the lease cannot serve anybody new.
func (l *lease) over() bool {
	select {
	case <-l.ready:
	default:
		return false
	}
	if l.err != nil {
		return true
	}
	select {
	case <-l.conn.Done():
		return true
	default:
		return false
	}
}

// release gives the connection back; the last one closes it, or ends the dial.
func (l *lease) release() {
	l.b.mu.Lock()
	l.users--
	last := l.users == 0
	if last && l.b.way == l {
		l.b.way = nil
	}
	l.b.mu.Unlock()
	if !last {
		return
	}
	select {
	case <-l.ready:
		if l.conn != nil {
			l.conn.Close()
		}
	default:
		l.cancel()
	}
}

// enter takes one of the places for dials under way; leave gives it back.
func (l *lease) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l.b.gate <- struct{}{}:
		return func() { <-l.b.gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

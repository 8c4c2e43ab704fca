package sshtest

import (
	"io"
	"net"
	"sync"
	"time"
)

// Pipe is a connection in memory. Writes never block, unlike those of net.Pipe,
// on which the SSH version exchange dead-locks; it waits only on condition
// variables, so that virtual time (testing/synctest) passes. Deadlines are
// accepted and do nothing.
func Pipe() (client, server *PipeConn) {
	a, b := newHalf(), newHalf()
	return &PipeConn{in: a, out: b}, &PipeConn{in: b, out: a}
}

// PipeConn is one end of a [Pipe].
type PipeConn struct{ in, out *half }

var _ net.Conn = (*PipeConn)(nil)

// half is the bytes on their way in one direction.
type half struct {
	mu     sync.Mutex
	cond   *sync.Cond
	bytes  []byte
	closed bool
	dark   bool
}

func newHalf() *half {
	h := &half{}
	h.cond = sync.NewCond(&h.mu)
	return h
}

// Drop makes everything sent from now on, in both directions, vanish: a pulled
// cable.
func (p *PipeConn) Drop() {
	for _, h := range []*half{p.in, p.out} {
		h.mu.Lock()
		h.dark = true
		h.mu.Unlock()
	}
}

// Read waits for bytes.
func (p *PipeConn) Read(b []byte) (int, error) {
	h := p.in
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.bytes) == 0 && !h.closed {
		h.cond.Wait()
	}
	if len(h.bytes) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.bytes)
	h.bytes = h.bytes[n:]
	return n, nil
}

// Write never waits.
func (p *PipeConn) Write(b []byte) (int, error) {
	h := p.out
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, io.ErrClosedPipe
	}
	if !h.dark {
		h.bytes = append(h.bytes, b...)
		h.cond.Broadcast()
	}
	return len(b), nil
}

// Close ends this side; the other one learns of it unless the cable is pulled.
func (p *PipeConn) Close() error {
	p.in.mu.Lock()
	p.in.closed = true
	p.in.cond.Broadcast()
	p.in.mu.Unlock()
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	if !p.out.dark {
		p.out.closed = true
		p.out.cond.Broadcast()
	}
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe:0" }

func (p *PipeConn) LocalAddr() net.Addr              { return pipeAddr{} }
func (p *PipeConn) RemoteAddr() net.Addr             { return pipeAddr{} }
func (p *PipeConn) SetDeadline(time.Time) error      { return nil }
func (p *PipeConn) SetReadDeadline(time.Time) error  { return nil }
func (p *PipeConn) SetWriteDeadline(time.Time) error { return nil }

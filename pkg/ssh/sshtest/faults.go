package sshtest

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Faults are the ways in which a server breaks. The zero value is a good one.
type Faults struct {
	Silent        bool          // sends its version, then nothing
	RefuseAuth    bool          // accepts no key
	HangAfterAuth bool          // signs in, then serves nothing and answers nothing
	RefuseExec    bool          // opens sessions and refuses to run anything
	NoExitStatus  bool          // commands end without telling how
	NoSFTP        bool          // the SFTP subsystem is off
	NoTunnel      bool          // forwarding is forbidden
	MaxSessions   int           // sessions at once on a connection; 0 is no limit
	Latency       time.Duration // added to every read of the server
	CutAfter      int64         // the connection breaks after so many bytes read; 0 is never
	Noise         string        // printed on stdout before all else, as a login shell may
	Banner        string        // shown before sign-in
	DiskBytes     int64         // SFTP writes beyond this many bytes fail as a full disk; 0 is no limit
	MoreHostKeys  []*Key        // shown beside the host key, one per type
}

// faulty applies latency and the cut to a connection.
type faulty struct {
	net.Conn
	ctx     context.Context
	latency time.Duration
	left    atomic.Int64
	cut     bool
}

func newFaulty(ctx context.Context, c net.Conn, f Faults) *faulty {
	w := &faulty{Conn: c, ctx: ctx, latency: f.Latency, cut: f.CutAfter > 0}
	w.left.Store(f.CutAfter)
	return w
}

// Read reads late, and not beyond the cut.
func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.latency > 0 {
		t := time.NewTimer(f.latency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-f.ctx.Done():
		}
	}
	if f.cut && f.left.Add(-int64(n)) <= 0 {
		reset(f.Conn)
		return 0, net.ErrClosed
	}
	return n, err
}

// reset closes c without a farewell.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

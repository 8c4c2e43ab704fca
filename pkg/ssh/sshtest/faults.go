package sshtest

import (
	"context"
	"io"
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
	Latency       time.Duration // what is sent to the server comes so much later; it gets no narrower
	CutAfter      int64         // the connection breaks after so many bytes read; 0 is never
	Noise         string        // printed on stdout before all else, as a login shell may
	Banner        string        // shown before sign-in
	DiskBytes     int64         // SFTP writes beyond this many bytes fail as a full disk; 0 is no limit
	MoreHostKeys  []*Key        // shown beside the host key, one per type
}

// faulty applies latency and the cut to a connection.
type faulty struct {
	net.Conn
	ctx  context.Context
	late *delay // nil without latency
	left atomic.Int64
	cut  bool
}

func newFaulty(ctx context.Context, c net.Conn, f Faults) *faulty {
	w := &faulty{Conn: c, ctx: ctx, cut: f.CutAfter > 0}
	if f.Latency > 0 {
		w.late = &delay{from: c, by: f.Latency, way: make(chan piece, onTheWay)}
	}
	w.left.Store(f.CutAfter)
	return w
}

// Read reads late, and not beyond the cut.
func (f *faulty) Read(p []byte) (n int, err error) {
	if f.late != nil {
		n, err = f.late.read(f.ctx, p)
	} else {
		n, err = f.Conn.Read(p)
	}
	if f.cut && f.left.Add(-int64(n)) <= 0 {
		reset(f.Conn)
		return 0, net.ErrClosed
	}
	return n, err
}

// delay hands on what comes in some time later. Many pieces are on their way at
// once, as on a long line: to sleep before each read would make the line narrow
// as well, and punish whoever sends much.
type delay struct {
	from io.Reader
	by   time.Duration
	way  chan piece
	here piece // what arrived and was not read whole
}

// onTheWay is how many pieces are on their way at once.
const onTheWay = 64

type piece struct {
	at    time.Time // of arrival
	bytes []byte
	err   error
}

// run takes in what comes until the connection ends.
func (d *delay) run(ctx context.Context) {
	for {
		buf := make([]byte, 8<<10)
		n, err := d.from.Read(buf)
		select {
		case d.way <- piece{time.Now().Add(d.by), buf[:n:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (d *delay) read(ctx context.Context, p []byte) (int, error) {
	if len(d.here.bytes) == 0 && d.here.err == nil {
		select {
		case d.here = <-d.way:
		case <-ctx.Done():
			return 0, net.ErrClosed
		}
		if wait := time.Until(d.here.at); wait > 0 {
			t := time.NewTimer(wait)
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
				return 0, net.ErrClosed
			}
		}
	}
	n := copy(p, d.here.bytes)
	d.here.bytes = d.here.bytes[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, d.here.err
}

// reset closes c without a farewell.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

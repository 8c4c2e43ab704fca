package ssh

import (
	"net"
	"sync/atomic"
	"time"
)

// link is the byte stream under a connection. It remembers when it last heard
// from the other side.
type link struct {
	net.Conn
	born   time.Time
	heard  atomic.Int64 // time.Duration since born
	broken atomic.Bool  // a read failed: nothing will ever come again
}

func newLink(c net.Conn) *link { return &link{Conn: c, born: time.Now()} }

// Read reads and notes the sign of life.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard.Store(int64(time.Since(l.born)))
	}
	if err != nil {
		l.broken.Store(true)
	}
	return n, err
}

// silence tells how long nothing came.
func (l *link) silence() time.Duration {
	return time.Since(l.born) - time.Duration(l.heard.Load())
}

package fleet

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// place is a port of 127.0.0.1 that stays ours while nobody listens on it: a
// socket is bound to it that never listens, so that connections are refused.
type place struct {
	fd   int
	port int
}

func reserve() (*place, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	p := &place{fd: fd}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		p.close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		p.close()
		return nil, os.NewSyscallError("bind", err)
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		p.close()
		return nil, os.NewSyscallError("getsockname", err)
	}
	p.port = addr.(*unix.SockaddrInet4).Port
	return p, nil
}

// listen takes connections from now on.
func (p *place) listen() (net.Listener, error) {
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var opt error
		err := c.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		if err == nil {
			err = opt
		}
		return err
	}}
	return reuse.Listen(context.Background(), "tcp4", fmt.Sprintf("127.0.0.1:%d", p.port))
}

func (p *place) close() { _ = unix.Close(p.fd) }

// Package netprobe measures what lies around a host: the ways to other hosts,
// what its resolver says, how fast its disk syncs. It leaves nothing behind and
// sends to nobody but the addresses and ports that it is given.
package netprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
)

// A datagram of ours is the nonce and a number, then what fills it up. Its
// answer is the nonce, the number, the time to live that it came with, and
// where it came from, as text.
const (
	nonceLen  = 16
	numberLen = 4
	headLen   = nonceLen + numberLen
	// overhead of an IPv4 datagram: 20 bytes for IP, 8 for UDP.
	overhead = 28
	startTTL = 64
)

func checkNonce(nonce string) error {
	if len(nonce) != nonceLen {
		return diag.New(diag.Internal, "probe network", "the nonce has %d characters, want %d", len(nonce), nonceLen)
	}
	return nil
}

func question(nonce string, number uint32, size int) []byte {
	b := make([]byte, max(size, headLen))
	copy(b, nonce)
	binary.BigEndian.PutUint32(b[nonceLen:], number)
	return b
}

func answer(nonce string, number uint32, ttl int, from netip.AddrPort) []byte {
	b := question(nonce, number, headLen)
	b = append(b, byte(ttl))
	return append(b, from.Addr().Unmap().String()...)
}

// parse reads the head of a datagram that knows the nonce.
func parse(nonce string, b []byte) (number uint32, rest []byte, ok bool) {
	if len(b) < headLen || string(b[:nonceLen]) != nonce {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(b[nonceLen:]), b[headLen:], true
}

// tellTTL makes the kernel tell the time to live of what comes in, and send
// with the one that the other side counts from.
func tellTTL(c *net.UDPConn) error {
	return control(c, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTTL, 1); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, startTTL)
	})
}

// undivided forbids that packets are cut in pieces on the way. PROBE and not DO:
// what the kernel has learned of the path before must not answer for it now.
func undivided(c *net.UDPConn) error {
	return control(c, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
}

func control(c *net.UDPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// ttlOf finds the time to live in control messages, 0 when it is not there.
func ttlOf(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_TTL && len(m.Data) >= 4 {
			return int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return 0
}

// reason is an error of the network in the few words that rules know.
func reason(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return "no answer"
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer"
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

func within(seconds, least, most float64) time.Duration {
	return time.Duration(min(max(seconds, least), most) * float64(time.Second))
}

func join(address string, port int) string {
	return net.JoinHostPort(address, fmt.Sprint(port))
}

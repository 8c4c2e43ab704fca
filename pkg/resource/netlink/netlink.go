// Package netlink asks the kernel by netlink for packet filter rules, links and
// routes, and takes some of them away. It adds nothing. It acts in the network
// namespace of the calling thread.
package netlink

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// message is a netlink message without its sequence number.
func message(kind, flags uint16, body []byte) []byte {
	ne := binary.NativeEndian
	m := ne.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	m = ne.AppendUint16(m, kind)
	m = ne.AppendUint16(m, flags)
	m = append(m, make([]byte, 8)...) // sequence, port
	m = append(m, body...)
	return append(m, make([]byte, align(len(m))-len(m))...)
}

func align(n int) int { return (n + 3) &^ 3 }

func attr(kind uint16, value []byte) []byte {
	ne := binary.NativeEndian
	a := ne.AppendUint16(nil, uint16(4+len(value)))
	a = ne.AppendUint16(a, kind)
	a = append(a, value...)
	return append(a, make([]byte, align(len(a))-len(a))...)
}

func name(s string) []byte { return append([]byte(s), 0) }

// conn is a netlink socket.
type conn struct {
	fd  int
	seq uint32
}

// patience with the kernel.
const patience = 10 * time.Second

func open(protocol int) (conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return conn{}, err
	}
	// Thousands of rules go in one transaction. Without the right to it the usual
	// room has to do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 16<<20)
	wait := unix.NsecToTimeval(patience.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		unix.Close(fd)
		return conn{}, err
	}
	return conn{fd: fd}, nil
}

// Close ends the connection.
func (c *conn) Close() { unix.Close(c.fd) }

// ask sends one message that changes something, and waits for the answer.
func (c *conn) ask(kind uint16, body []byte) error {
	c.seq++
	m := message(kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK, body)
	binary.NativeEndian.PutUint32(m[8:], c.seq)
	return c.send(m, c.seq)
}

// send sends messages and waits for the answer to the one numbered last. The
// first error counts: those of a transaction come in its order.
func (c *conn) send(messages []byte, last uint32) error {
	if err := unix.Sendto(c.fd, messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for done := false; !done; {
		err := c.receive(func(kind uint16, seq uint32, body []byte) error {
			if kind != unix.NLMSG_ERROR || len(body) < 4 {
				return nil
			}
			done = done || seq == last
			return errno(body)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func errno(body []byte) error {
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// dump asks for all objects of a kind.
func (c *conn) dump(kind uint16, body []byte, each func(body []byte)) error {
	c.seq++
	m := message(kind, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, body)
	binary.NativeEndian.PutUint32(m[8:], c.seq)
	if err := unix.Sendto(c.fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for done := false; !done; {
		err := c.receive(func(kind uint16, seq uint32, body []byte) error {
			switch {
			case seq != c.seq:
			case kind == unix.NLMSG_DONE:
				done = true
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				done = true
				return errno(body)
			default:
				each(body)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// receive hands on the messages of one datagram; a dump has several.
func (c *conn) receive(each func(kind uint16, seq uint32, body []byte) error) error {
	buf := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(c.fd, buf, 0)
	if err != nil {
		return err
	}
	ne := binary.NativeEndian
	for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
		size := int(ne.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return unix.EBADMSG
		}
		if err := each(ne.Uint16(b[4:]), ne.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:size]); err != nil {
			return err
		}
		b = b[min(len(b), align(size)):]
	}
	return nil
}

// attrs are netlink attributes in their order: lists repeat a type.
type attrs []struct {
	kind  uint16
	value []byte
}

func parse(b []byte) (out attrs) {
	ne := binary.NativeEndian
	for len(b) >= 4 {
		size := int(ne.Uint16(b))
		if size < 4 || size > len(b) {
			break
		}
		kind := ne.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
		out = append(out, struct {
			kind  uint16
			value []byte
		}{kind, b[4:size]})
		b = b[min(len(b), align(size)):]
	}
	return out
}

func (a attrs) find(kind uint16) []byte {
	for _, one := range a {
		if one.kind == kind {
			return one.value
		}
	}
	return nil
}

func (a attrs) text(kind uint16) string {
	s, _, _ := bytes.Cut(a.find(kind), []byte{0})
	return string(s)
}

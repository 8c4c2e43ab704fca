package netprobe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/facts"
)

const (
	// trips is how many round trips are wanted: the shortest counts.
	trips = 3
	// firstWait is for one answer; it grows, so that slow ways are measured too.
	firstWait = 150 * time.Millisecond
	// lastWait is for the interface's own size, before it counts as too large.
	lastWait = 400 * time.Millisecond
	// attempts of a size before it counts as too large: a datagram may be lost.
	attempts = 3
	// smallest packet that every path must carry.
	smallest = 576
)

// commonSizes are MTUs that networks have: Ethernet with and without large
// frames, PPPoE, tunnels.
var commonSizes = []int{9000, 8950, 4000, 1500, 1492, 1480, 1450, 1440, 1420, 1400, 1380, 1300, 1280, 1000, smallest}

// echo is a UDP conversation with a Listen of another host.
type echo struct {
	c      *net.UDPConn
	nonce  string
	number uint32
	sizes  map[uint32]int // of packets by the number of their question
	buf    []byte
	oob    []byte
}

// got is an answer: to which question, and what it tells.
type got struct {
	number  uint32
	ttlHere int // what the answer came with
	ttlThen int // what the question came with
	seenAs  string
}

// dialUDP finds whether a port answers, and when path is given what the way to
// it is like.
func dialUDP(ctx context.Context, address, nonce string, patience time.Duration, mtu bool, state *facts.PortState, path *facts.Path) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp4", join(address, state.Port.Port))
	if err != nil {
		state.Error = reason(err)
		return
	}
	defer conn.Close()
	c := conn.(*net.UDPConn)
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for _, set := range []func(*net.UDPConn) error{tellTTL, undivided} {
		if err := set(c); err != nil {
			state.Error = reason(err)
			return
		}
	}
	e := &echo{c: c, nonce: nonce, sizes: map[uint32]int{}, buf: make([]byte, 1<<16), oob: make([]byte, 128)}
	best, last, err := e.trips(time.Now().Add(patience))
	if err != nil {
		state.Error = reason(err)
		return
	}
	state.Open = true
	if path == nil {
		return
	}
	local := c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	path.Source, path.SeenAs, path.RoundTrip = local.String(), last.seenAs, best.Seconds()
	path.HopsThere, path.HopsBack = hops(last.ttlThen), hops(last.ttlHere)
	if mtu {
		if path.MTU = interfaceMTU(local); path.MTU > 0 {
			path.PathMTU = e.pathMTU(path.MTU, max(firstWait, 3*best))
		}
	}
}

func hops(ttl int) int {
	if ttl <= 0 || ttl > startTTL {
		return -1
	}
	return startTTL - ttl
}

// trips measures the shortest of a few round trips until the deadline.
func (e *echo) trips(deadline time.Time) (best time.Duration, last got, err error) {
	wait := firstWait
	err = syscall.ETIMEDOUT
	for n := 0; n < trips && time.Now().Before(deadline); {
		sent := time.Now()
		number, serr := e.ask(headLen + 64)
		if serr != nil {
			return 0, last, serr
		}
		answers, rerr := e.collect(minTime(sent.Add(wait), deadline), number)
		if took := time.Since(sent); len(answers) > 0 {
			if best == 0 || took < best {
				best = took
			}
			last = answers[0]
			n++
			continue
		}
		if errors.Is(rerr, syscall.ECONNREFUSED) {
			err = rerr // a firewall may say so at first only: asked again until the deadline
			if n == 0 && time.Until(deadline) > wait {
				deadline = time.Now().Add(wait)
			}
		}
		wait *= 2
	}
	if best > 0 {
		return best, last, nil
	}
	return 0, last, err
}

// ask sends a question of size bytes and gives its number. An ICMP message
// about an earlier one may come in the way once.
func (e *echo) ask(size int) (uint32, error) {
	e.number++
	q := question(e.nonce, e.number, size)
	_, err := e.c.Write(q)
	if err != nil {
		_, err = e.c.Write(q)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = nil // told again by collect, when it holds
	}
	return e.number, err
}

// collect gives the answers that come until the deadline, or until those to all
// wanted questions are here. err is what the network said of a question.
func (e *echo) collect(deadline time.Time, want ...uint32) (answers []got, err error) {
	if derr := e.c.SetReadDeadline(deadline); derr != nil {
		return nil, derr
	}
	left := slices.Clone(want)
	for len(left) > 0 {
		n, oobn, _, _, rerr := e.c.ReadMsgUDPAddrPort(e.buf, e.oob)
		if rerr != nil {
			var timeout net.Error
			if errors.As(rerr, &timeout) && timeout.Timeout() || errors.Is(rerr, net.ErrClosed) {
				return answers, err
			}
			err = rerr
			if errors.Is(rerr, syscall.ECONNREFUSED) {
				return answers, err
			}
			continue // a packet was too large for a router
		}
		number, rest, ok := parse(e.nonce, e.buf[:n])
		if !ok || len(rest) < 1 {
			continue
		}
		answers = append(answers, got{number: number, ttlHere: ttlOf(e.oob[:oobn]), ttlThen: int(rest[0]), seenAs: string(rest[1:])})
		left = slices.DeleteFunc(left, func(w uint32) bool { return w == number })
	}
	return answers, nil
}

// pathMTU finds the largest packet that comes through, up to the interface's.
// Many sizes are tried at once, closer and closer; 0 is a way that carries none.
// Before less than the interface's is told, that is tried once more and with
// patience: a busy host is no small link.
func (e *echo) pathMTU(mtu int, wait time.Duration) int {
	sizes := slices.DeleteFunc(slices.Clone(commonSizes), func(s int) bool { return s >= mtu })
	slices.Sort(sizes)
	best, bad := e.largest([]int{mtu}, wait), mtu
	for best < mtu && len(sizes) > 0 {
		best = max(best, e.largest(sizes, wait))
		for _, s := range slices.Backward(sizes) {
			if s > best {
				bad = s
			}
		}
		sizes = sizes[:0]
		step := max(1, (bad-best)/16)
		for s := best + step; best > 0 && s < bad; s += step {
			sizes = append(sizes, s)
		}
	}
	if best > 0 && best < mtu {
		best = max(best, e.largest([]int{mtu}, lastWait))
	}
	return min(best, mtu)
}

// largest gives the largest packet size that came through, of these ascending
// ones or of earlier ones whose answer was late; 0 is none.
func (e *echo) largest(sizes []int, wait time.Duration) int {
	best := 0
	for range attempts {
		var want []uint32
		for _, s := range sizes {
			if s <= best {
				continue
			}
			if number, err := e.ask(s - overhead); err == nil {
				e.sizes[number] = s
				want = append(want, number)
			}
		}
		answers, _ := e.collect(time.Now().Add(wait), want...)
		for _, a := range answers {
			best = max(best, e.sizes[a.number])
		}
		if best >= sizes[len(sizes)-1] {
			break
		}
	}
	return best
}

// interfaceMTU gives the MTU of the interface that has an address, 0 for none.
func interfaceMTU(ip netip.Addr) int {
	all, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, i := range all {
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == ip {
				return i.MTU
			}
		}
	}
	return 0
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

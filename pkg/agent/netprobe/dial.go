package netprobe

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// parallel is how many targets are measured at a time.
const parallel = 32

// Dial measures the ways to all targets and gives them in order. A way that
// leads nowhere is a result and no error.
func Dial(ctx context.Context, d wire.Dial) ([]facts.Path, error) {
	if err := checkNonce(d.Nonce); err != nil {
		return nil, err
	}
	patience := within(d.Seconds, 0.2, 30)
	paths := make([]facts.Path, len(d.Targets))
	turns := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for i, t := range d.Targets {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			paths[i] = target(ctx, t, d.Nonce, patience)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return paths, nil
}

// target measures the way to one host: its ports side by side.
func target(ctx context.Context, t wire.Target, nonce string, patience time.Duration) facts.Path {
	path := facts.Path{To: t.Address, HopsThere: -1, HopsBack: -1, Ports: make([]facts.PortState, len(t.Ports))}
	shakes := make([]time.Duration, len(t.Ports))
	echo := -1
	for i, p := range t.Ports {
		path.Ports[i] = facts.PortState{Port: p.Port, Held: p.Held}
		if p.Proto == "udp" && !p.Held && echo < 0 {
			echo = i
		}
	}
	var wg sync.WaitGroup
	for i, p := range t.Ports {
		state := &path.Ports[i]
		switch {
		case p.Proto == "tcp":
			wg.Go(func() { shakes[i] = dialTCP(ctx, t.Address, p, nonce, patience, state) })
		case p.Held: // no datagram of ours would be answered
		default:
			wg.Go(func() {
				var whole *facts.Path
				if i == echo {
					whole = &path
				}
				dialUDP(ctx, t.Address, nonce, patience, t.MTU && i == echo, state, whole)
			})
		}
	}
	wg.Wait()
	for _, s := range shakes {
		if s > 0 && (path.RoundTrip == 0 || echo < 0 && s.Seconds() < path.RoundTrip) {
			path.RoundTrip = s.Seconds()
		}
	}
	return path
}

// dialTCP connects, says the nonce where we expect it back, and gives how long
// the handshake took.
func dialTCP(ctx context.Context, address string, p wire.TargetPort, nonce string, patience time.Duration, state *facts.PortState) time.Duration {
	start := time.Now()
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp4", join(address, p.Port.Port))
	if err != nil {
		state.Error = reason(err)
		return 0
	}
	took := time.Since(start)
	defer c.Close()
	if p.Held {
		state.Open = true
		return took
	}
	said := make([]byte, nonceLen)
	if err = c.SetDeadline(time.Now().Add(patience)); err == nil {
		if _, err = io.WriteString(c, nonce); err == nil {
			_, err = io.ReadFull(c, said)
		}
	}
	if err != nil || string(said) != nonce {
		state.Error = "answered by something else"
		return 0
	}
	state.Open = true
	return took
}

package netprobe

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/wire"
)

// talkTime is how long one TCP connection may take to say the nonce and go.
const talkTime = 5 * time.Second

// Listen holds the ports open until ctx ends or the time is up; that is no
// error. ready is called once, when all that can be open is. A port that
// somebody has already is told and left alone.
func Listen(ctx context.Context, l wire.Listen, ready func([]wire.Listening)) error {
	if err := checkNonce(l.Nonce); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within(l.Seconds, 0.1, 60))
	defer cancel()
	var serving sync.WaitGroup
	defer serving.Wait()
	var open []io.Closer
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	states := make([]wire.Listening, len(l.Ports))
	for i, p := range l.Ports {
		states[i].Port = p
		var err error
		var c io.Closer
		switch p.Proto {
		case "tcp":
			var ln net.Listener
			if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", join(l.Address, p.Port)); err == nil {
				c, states[i].Port.Port = ln, ln.Addr().(*net.TCPAddr).Port
				serving.Go(func() { echoTCP(ctx, ln, l.Nonce) })
			}
		case "udp":
			var pc net.PacketConn
			if pc, err = (&net.ListenConfig{}).ListenPacket(ctx, "udp4", join(l.Address, p.Port)); err == nil {
				u := pc.(*net.UDPConn)
				c, states[i].Port.Port = u, u.LocalAddr().(*net.UDPAddr).Port
				if err = tellTTL(u); err != nil {
					u.Close()
					break
				}
				serving.Go(func() { echoUDP(u, l.Nonce) })
			}
		default:
			err = diag.New(diag.Internal, "listen", "%q is no protocol", p.Proto)
		}
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			states[i].Held = true
		case err != nil:
			states[i].Error = reason(err)
		default:
			open = append(open, c)
		}
	}
	ready(states)
	<-ctx.Done()
	return nil
}

// echoTCP says the nonce back to who knows it. It lets the other side close
// first, so that the port is not kept from its owner by a connection that waits
// for its end.
func echoTCP(ctx context.Context, ln net.Listener, nonce string) {
	var talks sync.WaitGroup
	defer talks.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, syscall.ECONNABORTED) {
				continue // it went away before it was taken
			}
			return
		}
		talks.Go(func() {
			stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
			defer stop()
			defer c.Close()
			if c.SetDeadline(time.Now().Add(talkTime)) != nil {
				return
			}
			said := make([]byte, nonceLen)
			if _, err := io.ReadFull(c, said); err != nil || string(said) != nonce {
				return
			}
			if _, err := c.Write(said); err == nil {
				io.Copy(io.Discard, io.LimitReader(c, 1)) // its end, or nothing worth an error
			}
		})
	}
}

// echoUDP answers datagrams that know the nonce, never with more bytes than a
// question has.
func echoUDP(c *net.UDPConn, nonce string) {
	buf, oob := make([]byte, 1<<16), make([]byte, 128)
	for {
		n, oobn, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // an ICMP message about an answer of ours
		}
		if err != nil {
			return
		}
		number, _, ok := parse(nonce, buf[:n])
		if !ok {
			continue
		}
		out := answer(nonce, number, ttlOf(oob[:oobn]), from)
		if len(out) > n {
			continue
		}
		_, _ = c.WriteToUDPAddrPort(out, from) // a lost answer is asked for again
	}
}

// Package clock is a time server: it tells the lab's virtual machines what this machine's clock says. Containers share that clock
// and ask nobody.
package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	size    = 48
	version = 4
	client  = 3
	server  = 4
	// stratum is that of a server which goes by its own clock: anybody with a better one is believed rather.
	stratum = 10
	// precision is 2 to this power of a second.
	precision = -20
	// since1900 is the beginning of Unix time in that of NTP.
	since1900 = 2208988800
)

// Serve answers on the UDP address listen until ctx ends.
func Serve(ctx context.Context, listen string) error {
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", listen)
	if err != nil {
		return fmt.Errorf("serving the time: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serving the time: %w", err)
		case err != nil:
			continue // an ICMP message about an answer that nobody waited for
		}
		if a := answer(buf[:n], time.Now()); a != nil {
			_, _ = conn.WriteTo(a, from) // a lost answer is asked for again
		}
	}
}

// answer to a question that came at now, nil to what is none.
func answer(question []byte, now time.Time) []byte {
	if len(question) < size || question[0]&7 != client {
		return nil
	}
	a := make([]byte, size)
	a[0] = version<<3 | server
	a[1] = stratum
	a[2] = question[2] // how often it asks
	lowest := int8(precision)
	a[3] = byte(lowest)
	copy(a[12:], "LOCL")
	t := stamp(now)
	binary.BigEndian.PutUint64(a[16:], t)        // when the clock was set
	copy(a[24:32], question[40:48])              // when the question was sent
	binary.BigEndian.PutUint64(a[32:], t)        // when it came
	binary.BigEndian.PutUint64(a[40:], t)        // when the answer goes
	binary.BigEndian.PutUint32(a[8:], 1<<16/100) // the clock may be 10 ms off
	return a
}

// stamp is a time in NTP's form: seconds since 1900, and their 2^32th parts.
func stamp(t time.Time) uint64 {
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

package netprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

const (
	ntpPort = 123
	ntpSize = 48
	// ntpEpoch is 1900 in seconds before 1970.
	ntpEpoch = 2208988800
	askNTP   = 4<<3 | 3 // version 4, mode 3: a client
	tellsNTP = 4        // mode 4: a server
)

// NTP asks time servers for the time, all at once, and gives their answers in
// order. It sets nothing.
func NTP(ctx context.Context, n wire.NTP) []facts.NTPAnswer { return ntp(ctx, n, ntpPort) }

func ntp(ctx context.Context, n wire.NTP, port int) []facts.NTPAnswer {
	ctx, cancel := context.WithTimeout(ctx, within(n.Seconds, 0.1, 30))
	defer cancel()
	out := make([]facts.NTPAnswer, len(n.Servers))
	var wg sync.WaitGroup
	for i, server := range n.Servers {
		wg.Go(func() {
			out[i] = facts.NTPAnswer{Server: server}
			if err := askTime(ctx, server, port, &out[i]); err != nil {
				out[i].Error = reason(err)
				var dns *net.DNSError
				if errors.As(err, &dns) {
					out[i].Error = "the name does not resolve"
				}
			}
		})
	}
	wg.Wait()
	return out
}

// askTime sends a question each half second until an answer comes.
func askTime(ctx context.Context, server string, port int, a *facts.NTPAnswer) error {
	d := &net.Dialer{Resolver: &net.Resolver{PreferGo: true}}
	conn, err := d.DialContext(ctx, "udp", join(server, port))
	if err != nil {
		return err
	}
	defer conn.Close()
	end, _ := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	buf := make([]byte, 512)
	for {
		ask := make([]byte, ntpSize)
		ask[0] = askNTP
		sent := time.Now()
		// The server gives it back: only the answer to this question has it.
		binary.BigEndian.PutUint64(ask[40:], uint64(sent.UnixNano()))
		if err := conn.SetDeadline(minTime(sent.Add(500*time.Millisecond), end)); err != nil {
			return err
		}
		_, err = conn.Write(ask)
		for err == nil { // what is an answer to another question is passed over
			var size int
			size, err = conn.Read(buf)
			if err == nil && size >= ntpSize && buf[0]&7 == tellsNTP && string(buf[24:32]) == string(ask[40:48]) {
				got := time.Now()
				a.Stratum = int(buf[1])
				a.OffsetSeconds = (ntpTime(buf[32:]).Sub(sent) + ntpTime(buf[40:]).Sub(got)).Seconds() / 2
				return nil
			}
		}
		if !time.Now().Before(end) || ctx.Err() != nil {
			return err
		}
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			return err
		}
	}
}

func ntpTime(b []byte) time.Time {
	s, fraction := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	return time.Unix(int64(s)-ntpEpoch, int64(fraction)*1e9>>32)
}

package netprobe

import (
	"encoding/binary"
	"math"
	"net"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/wire"
)

func TestNTP(t *testing.T) {
	t.Parallel()
	srv, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { srv.Close(); <-done })
	go func() { // a server that is ten seconds ahead
		defer close(done)
		buf := make([]byte, 512)
		for {
			_, from, err := srv.ReadFrom(buf)
			if err != nil {
				return
			}
			out := make([]byte, ntpSize)
			out[0], out[1] = 4<<3|tellsNTP, 2
			copy(out[24:32], buf[40:48])
			now := time.Now().Add(10 * time.Second)
			for _, at := range []int{32, 40} {
				binary.BigEndian.PutUint32(out[at:], uint32(now.Unix()+ntpEpoch))
				binary.BigEndian.PutUint32(out[at+4:], uint32(uint64(now.Nanosecond())<<32/1e9))
			}
			stale := append([]byte(nil), out...)
			stale[24]++
			srv.WriteTo(stale, from) // an answer to somebody else's question
			srv.WriteTo(out, from)
		}
	}()
	port := srv.LocalAddr().(*net.UDPAddr).Port
	got := ntp(t.Context(), wire.NTP{Servers: []string{"127.0.0.1", "no.such.name.invalid"}, Seconds: 5}, port)
	if a := got[0]; a.Error != "" || a.Stratum != 2 || math.Abs(a.OffsetSeconds-10) > 1 {
		t.Errorf("answer = %+v", a)
	}
	if a := got[1]; a.Error == "" {
		t.Errorf("a server without a name = %+v", a)
	}
	mute, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	if a := ntp(t.Context(), wire.NTP{Servers: []string{"127.0.0.1"}, Seconds: 0.2}, mute.LocalAddr().(*net.UDPAddr).Port)[0]; a.Error != "no answer" {
		t.Errorf("a mute server = %+v", a)
	}
}

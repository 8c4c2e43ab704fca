package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	q := make([]byte, size)
	q[0] = 4<<3 | client
	copy(q[40:], "whenever")
	a := answer(q, now)
	if len(a) != size || a[0] != 4<<3|server || a[1] != stratum || string(a[24:32]) != "whenever" {
		t.Errorf("answer() = %x", a)
	}
	// 2026-01-02 03:04:05 is 1767323045 in Unix time; half a second is the highest bit.
	if got, want := binary.BigEndian.Uint64(a[40:]), uint64(1767323045+since1900)<<32|1<<31; got != want {
		t.Errorf("the time is %x, want %x", got, want)
	}
	for _, odd := range [][]byte{nil, q[:47], make([]byte, size)} {
		if a := answer(odd, now); a != nil {
			t.Errorf("answer(%x) = %x, want none", odd, a)
		}
	}
}

// A server outlives what is no question, and ends with its context.
func TestServe(t *testing.T) {
	t.Parallel()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.LocalAddr().String()
	free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, address) }()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q := make([]byte, size)
	q[0] = 4<<3 | client
	a := make([]byte, 100)
	for end := time.Now().Add(10 * time.Second); ; {
		_, _ = conn.Write([]byte("hello")) // refused until the server is there
		_, _ = conn.Write(q)
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(a)
		if err == nil {
			if n != size || a[0]&7 != server {
				t.Errorf("answer %x", a[:n])
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no answer: %v", err)
		}
	}
	cancel()
	if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Serve() = %v", err)
	}
}

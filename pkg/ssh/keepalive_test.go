package ssh

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

// inBubble dials a server over a connection in memory, in virtual time.
func inBubble(t *testing.T, f sshtest.Faults) (*Conn, *sshtest.PipeConn, *sshtest.Server) {
	t.Helper()
	b := newBench(t)
	srv, err := sshtest.Detached(sshtest.Options{Accept: []string{b.key.Public}, Handler: echo, Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	cable, far := sshtest.Pipe()
	b.cfg.NetDial = func(context.Context, string, string) (net.Conn, error) {
		srv.Serve(far)
		return cable, nil
	}
	c, err := b.dialer().Dial(context.Background(), Target{Name: "n1", Address: "n1.test", User: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	return c, cable, srv
}

func TestDeadLinkIsKnownWithin45Seconds(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]sshtest.Faults{"cable pulled": {}, "host hangs": {HangAfterAuth: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, cable, _ := inBubble(t, f)
				var s *Session
				if !f.HangAfterAuth {
					var err error
					if s, err = c.Start(context.Background(), "hang"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour) // silent, and alive
					if c.Err() != nil {
						t.Fatalf("an idle connection ended: %v", c.Err())
					}
					cable.Drop()
				}
				start := time.Now()
				<-c.Done()
				if took := time.Since(start); took > 45*time.Second {
					t.Errorf("the dead link was known after %s", took)
				}
				wantError(t, c.Err(), diag.Unreachable, "n1", "no sign of life for 45s")
				if s != nil {
					wantError(t, s.Wait(), diag.Unreachable, "n1")
				}
				_, err := c.Start(context.Background(), "echo x")
				wantError(t, err, diag.Unreachable, "n1")
			})
		})
	}
}

// Output is life enough: while it flows nobody is asked, and a host too busy to
// answer is not given up.
func TestDataCountsAsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, srv := inBubble(t, sshtest.Faults{})
		s, err := c.Start(context.Background(), "cat")
		if err != nil {
			t.Fatal(err)
		}
		before := srv.Stats().GlobalRequests
		buf := make([]byte, 8)
		for range 60 {
			time.Sleep(10 * time.Second)
			if _, err := s.Stdin.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Stdout.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
		if got := srv.Stats().GlobalRequests - before; got != 0 {
			t.Errorf("%d pings while data flowed", got)
		}
		time.Sleep(61 * time.Second)
		if got := srv.Stats().GlobalRequests - before; got != 4 {
			t.Errorf("%d pings in a silent minute, want 4", got)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
	})
}

func TestHandshakeTimeoutInVirtualTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.cfg.ConnectTimeout = 0 // the default
		cable, _ := sshtest.Pipe()
		b.cfg.NetDial = func(context.Context, string, string) (net.Conn, error) { return cable, nil }
		start := time.Now()
		_, err := b.dialer().Dial(context.Background(), Target{Name: "n1", Address: "n1.test"})
		wantError(t, err, diag.Timeout, "n1", "15s")
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

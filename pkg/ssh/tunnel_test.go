package ssh

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

// slowProxy forwards to addr and delays each direction; it gives its port.
func slowProxy(t *testing.T, addr string, delay time.Duration) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	late := func(to, from net.Conn) {
		type chunk struct {
			due  time.Time
			data []byte
		}
		queue := make(chan chunk, 1<<16)
		wg.Go(func() {
			defer close(queue)
			for {
				buf := make([]byte, 32<<10)
				n, err := from.Read(buf)
				queue <- chunk{time.Now().Add(delay), buf[:n]}
				if err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			defer to.Close()
			for c := range queue {
				time.Sleep(time.Until(c.due))
				if _, err := to.Write(c.data); err != nil {
					from.Close()
				}
			}
		})
	}
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			late(in, out)
			late(out, in)
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestTunnelCarriesHTTP2(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{}))
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	api.EnableHTTP2 = true
	api.StartTLS()
	defer api.Close()
	transport := api.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = c.DialContext
	transport.ForceAttemptHTTP2 = true
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for range 3 {
		resp, err := client.Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "HTTP/2.0" {
			t.Errorf("spoke %s", body)
		}
	}
}

func TestTunnelErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	srv := b.server(sshtest.Options{})
	c := b.dial(srv)
	_, err := c.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	wantError(t, err, diag.Unreachable, "n1", "tunnel to 127.0.0.1:1", "seen from the host")
	srv.SetFaults(sshtest.Faults{NoTunnel: true})
	_, err = c.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	wantError(t, err, diag.Unsupported, "n1", "AllowTcpForwarding")
}

func TestTunnelDeadlines(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
		}
	}()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{}))
	n, err := c.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := n.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := n.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(n, "ping"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(n, got); err != nil || string(got) != "ping" {
		t.Fatalf("read %q, %v", got, err)
	}
	if err := n.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err = n.Read(got)
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Read after the deadline: %v", err)
	}
	if err := n.Close(); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("Close: %v", err)
	}
}

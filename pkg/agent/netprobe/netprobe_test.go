package netprobe_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/agent/netprobe"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

func TestMain(m *testing.M) {
	if os.Getenv(asked) != "" {
		os.Exit(inNamespace())
	}
	goleak.VerifyTestMain(m)
}

const nonce = "0123456789abcdef"

// listen holds ports of the loopback interface until the test ends.
func listen(t *testing.T, ports ...facts.Port) []wire.Listening {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, done := make(chan []wire.Listening, 1), make(chan error, 1)
	go func() {
		done <- netprobe.Listen(ctx, wire.Listen{Address: "127.0.0.1", Ports: ports, Nonce: nonce, Seconds: 30}, func(l []wire.Listening) { ready <- l })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Listen = %v", err)
		}
	})
	return <-ready
}

func dial(t *testing.T, nonce string, ports ...wire.TargetPort) facts.Path {
	t.Helper()
	paths, err := netprobe.Dial(t.Context(), wire.Dial{
		Nonce: nonce, Seconds: 1, Targets: []wire.Target{{Address: "127.0.0.1", Ports: ports, MTU: true}},
	})
	if err != nil || len(paths) != 1 {
		t.Fatalf("Dial = %v, %v", paths, err)
	}
	return paths[0]
}

func TestOpenPorts(t *testing.T) {
	t.Parallel()
	l := listen(t, facts.Port{Proto: "tcp"}, facts.Port{Proto: "udp"})
	p := dial(t, nonce, wire.TargetPort{Port: l[0].Port}, wire.TargetPort{Port: l[1].Port})
	for _, s := range p.Ports {
		if !s.Open || s.Error != "" {
			t.Errorf("port %+v is not open", s)
		}
	}
	if p.Source != "127.0.0.1" || p.SeenAs != "127.0.0.1" || p.RoundTrip <= 0 || p.RoundTrip > 1 {
		t.Errorf("path = %+v", p)
	}
	if p.HopsThere != 0 || p.HopsBack != 0 {
		t.Errorf("hops %d and %d, want none", p.HopsThere, p.HopsBack)
	}
	// A datagram of IPv4 has at most 65535 bytes: the loopback interface says one more.
	if p.MTU < 1500 || p.PathMTU < min(p.MTU, 9000) || p.PathMTU > p.MTU {
		t.Errorf("MTU %d, path MTU %d", p.MTU, p.PathMTU)
	}
}

func TestPortsOfOthers(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		c, err := other.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(c)
		c.Close()
		said <- string(b)
	}()
	t.Cleanup(func() { other.Close() })
	port := facts.Port{Proto: "tcp", Port: other.Addr().(*net.TCPAddr).Port}
	if l := listen(t, port); !l[0].Held || l[0].Error != "" {
		t.Errorf("a held port is %+v", l[0])
	}
	if p := dial(t, nonce, wire.TargetPort{Port: port, Held: true}); !p.Ports[0].Open || p.RoundTrip <= 0 {
		t.Errorf("path = %+v", p)
	}
	if s := <-said; s != "" {
		t.Errorf("somebody else's port was sent %q", s)
	}
}

func TestClosedPorts(t *testing.T) {
	t.Parallel()
	free := listen(t, facts.Port{Proto: "tcp"}, facts.Port{Proto: "udp"})
	p := dial(t, "another nonce 16", wire.TargetPort{Port: free[0].Port}, wire.TargetPort{Port: free[1].Port})
	if p.Ports[0].Open || p.Ports[0].Error != "answered by something else" {
		t.Errorf("with another nonce tcp is %+v", p.Ports[0])
	}
	if p.Ports[1].Open || p.Ports[1].Error != "no answer" {
		t.Errorf("with another nonce udp is %+v", p.Ports[1])
	}
	gone := func(network string) int {
		switch network {
		case "tcp":
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return l.Addr().(*net.TCPAddr).Port
		default:
			l, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return l.LocalAddr().(*net.UDPAddr).Port
		}
	}
	p = dial(t, nonce, wire.TargetPort{Port: facts.Port{Proto: "tcp", Port: gone("tcp")}}, wire.TargetPort{Port: facts.Port{Proto: "udp", Port: gone("udp")}})
	for _, s := range p.Ports {
		if s.Open || s.Error != "refused" {
			t.Errorf("a closed port is %+v", s)
		}
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	if _, err := netprobe.Dial(t.Context(), wire.Dial{Nonce: "short"}); diag.KindOf(err) != diag.Internal {
		t.Errorf("Dial = %v", err)
	}
	if err := netprobe.Listen(t.Context(), wire.Listen{}, nil); diag.KindOf(err) != diag.Internal {
		t.Errorf("Listen = %v", err)
	}
	got := make(chan []wire.Listening, 1)
	err := netprobe.Listen(t.Context(), wire.Listen{Address: "192.0.2.1", Nonce: nonce, Seconds: 0.1, Ports: []facts.Port{{Proto: "tcp"}}},
		func(l []wire.Listening) { got <- l })
	if l := <-got; err != nil || l[0].Error == "" {
		t.Errorf("on an address of nobody: %+v, %v", l, err)
	}
}

func TestCancelledDial(t *testing.T) {
	t.Parallel()
	l := listen(t, facts.Port{Proto: "udp"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := netprobe.Dial(ctx, wire.Dial{Nonce: "another nonce 16", Seconds: 20,
		Targets: []wire.Target{{Address: "127.0.0.1", Ports: []wire.TargetPort{{Port: l[0].Port}}}}})
	if err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("Dial = %v after %s", err, time.Since(start))
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	got := netprobe.Resolve(t.Context(), wire.Resolve{Names: []string{"localhost", "192.0.2.7"}, Addresses: []string{"127.0.0.1", "no address"}, Seconds: 5}, nil)
	if len(got) != 4 || got[0].Question != "localhost" || got[0].Answers == nil || got[1].Answers[0] != "192.0.2.7" {
		t.Errorf("Resolve = %+v", got)
	}
	if got[3].Error == "" || got[3].Missing {
		t.Errorf("a reverse lookup of nonsense is %+v", got[3])
	}
}

func TestSyncLeavesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "var/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(root, "var/lib"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := netprobe.Sync(t.Context(), wire.Sync{Path: "/var/lib/etcd", Samples: 20, Seconds: 5}, root, "/var/lib")
	if err != nil || got.Path != "/var/lib" || got.Samples < 1 || got.Samples > 20 || got.P99 < got.Median || got.Max < got.P99 || got.Median <= 0 {
		t.Fatalf("Sync = %+v, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Join(root, "var/lib"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	after, err := os.Stat(filepath.Join(root, "var/lib"))
	if err != nil {
		t.Fatal(err)
	}
	if !after.ModTime().Equal(before.ModTime()) {
		t.Log("this file system has no files without a name: the directory's time changed")
	}
	if _, err := netprobe.Sync(t.Context(), wire.Sync{Path: "var"}, root, "/"); diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("Sync = %v", err)
	}
}

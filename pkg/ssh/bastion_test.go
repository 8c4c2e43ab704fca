package ssh

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func spec(s *sshtest.Server) string { return fmt.Sprintf("jump@127.0.0.1:%d", s.Port()) }

func TestBastionIsSharedAndGivenBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	outer, inner := b.server(sshtest.Options{}), b.server(sshtest.Options{})
	b.cfg.Bastions = []string{spec(outer), spec(inner)}
	b.cfg.ConnectTimeout = time.Minute
	d := b.dialer()
	const hosts = 30
	servers := make([]*sshtest.Server, hosts)
	conns := make([]*Conn, hosts)
	var wg sync.WaitGroup
	for i := range servers {
		servers[i] = b.server(sshtest.Options{Faults: sshtest.Faults{Latency: time.Millisecond}})
		wg.Go(func() {
			c, err := d.Dial(t.Context(), target(servers[i]))
			if err != nil {
				t.Error(err)
				return
			}
			conns[i] = c
			if out, _, err := c.Run(t.Context(), "echo hi", nil); err != nil || string(out) != "hi\n" {
				t.Errorf("echo gave %q, %v", out, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for name, s := range map[string]*sshtest.Server{"outer": outer, "inner": inner} {
		if got := s.Stats().Connections; got != 1 {
			t.Errorf("%s bastion has %d connections, want 1", name, got)
		}
	}
	if got := inner.Stats().Tunnels; got != hosts {
		t.Errorf("%d tunnels, want %d", got, hosts)
	}
	if n := strings.Count(b.read("known_hosts"), "\n"); n != hosts+2 {
		t.Errorf("%d host keys recorded, want %d: bastions are checked too", n, hosts+2)
	}
	way := d.bastion(mustChain(t, d, servers[0])).way
	for _, c := range conns {
		c.Close()
	}
	<-way.conn.Done() // nobody needs it
	c, err := d.Dial(t.Context(), target(servers[0]))
	if err != nil {
		t.Fatalf("dialling again: %v", err)
	}
	if got := inner.Stats().Connections; got != 2 {
		t.Errorf("inner bastion has had %d connections, want 2", got)
	}
	// A bastion that breaks takes its hosts along, and is dialled anew.
	outer.Cut()
	<-c.Done()
	if _, err := d.Dial(t.Context(), target(servers[0])); err != nil {
		t.Errorf("after the bastion broke: %v", err)
	}
}

func mustChain(t *testing.T, d *Dialer, s *sshtest.Server) []hop {
	t.Helper()
	h, err := d.resolve(target(s))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := d.chain(h)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func TestAtMostEightDialsPerBastion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.Bastions = []string{spec(b.server(sshtest.Options{}))}
	b.cfg.ConnectTimeout = time.Minute
	d := b.dialer()
	// All targets are one server, which sees how many sign in at once.
	srv := b.server(sshtest.Options{Faults: sshtest.Faults{Latency: 2 * time.Millisecond}})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := d.Dial(t.Context(), target(srv)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// The server counts a sign-in as over a moment after the client does, so a
	// few more may show; without a limit it would be all thirty.
	if got := srv.Stats().MaxOpening; got < 2 || got > 2*dialsPerBastion {
		t.Errorf("%d dials at once, want 2 to about %d", got, dialsPerBastion)
	}
}

func TestBastionErrors(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	srv := b.server(sshtest.Options{})

	jump := b.server(sshtest.Options{Faults: sshtest.Faults{NoTunnel: true}})
	b.cfg.Bastions = []string{spec(jump)}
	_, err := b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Unreachable, "n1", "AllowTcpForwarding")

	jump.SetFaults(sshtest.Faults{})
	gone := target(srv)
	gone.Port = 1
	_, err = b.dialer().Dial(t.Context(), gone)
	wantError(t, err, diag.Unreachable, "n1", "bastion cannot reach")

	jump.SetHostKey(sshtest.MustKey(t))
	_, err = b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.HostKey, "n1", "bastion 127.0.0.1", "changed")

	if err := os.Remove(b.path("known_hosts")); err != nil {
		t.Fatal(err)
	}
	jump.SetFaults(sshtest.Faults{RefuseAuth: true})
	_, err = b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Auth, "n1", "bastion 127.0.0.1", "jump@127.0.0.1")

	b.cfg.Bastions = []string{"a b"}
	if _, err := NewDialer(b.cfg); diag.KindOf(err) != diag.Invalid {
		t.Errorf("NewDialer took a wrong bastion: %v", err)
	}
}

// A dead bastion costs one time-out, not one per host.
func TestWaitersShareTheFailureOfABastion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConnectTimeout = 300 * time.Millisecond
	jump := b.server(sshtest.Options{Faults: sshtest.Faults{Silent: true}})
	b.cfg.Bastions = []string{spec(jump)}
	d := b.dialer()
	var wg sync.WaitGroup
	start := time.Now()
	for i := range 20 {
		wg.Go(func() {
			_, err := d.Dial(t.Context(), Target{Name: fmt.Sprint("n", i), Address: fmt.Sprintf("10.0.0.%d", i), User: "u"})
			wantError(t, err, diag.Timeout, fmt.Sprint("n", i), "bastion 127.0.0.1")
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 20*300*time.Millisecond/2 {
		t.Errorf("took %s", took)
	}
}

func TestCanceledWaiterLeavesTheBastionToOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	jump, srv := b.server(sshtest.Options{}), b.server(sshtest.Options{})
	b.cfg.Bastions = []string{spec(jump)}
	dialed, goOn := make(chan struct{}), make(chan struct{})
	b.cfg.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		close(dialed)
		<-goOn
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	d := b.dialer()
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	dial := func(ctx context.Context, ch chan error) {
		_, err := d.Dial(ctx, target(srv))
		ch <- err
	}
	go dial(ctx, first)
	<-dialed
	go dial(t.Context(), second)
	bastion := d.bastion(mustChain(t, d, srv))
	for users := 0; users < 2; time.Sleep(time.Millisecond) {
		bastion.mu.Lock()
		users = bastion.way.users
		bastion.mu.Unlock()
	}
	cancel()
	wantError(t, <-first, diag.Canceled, "n1")
	close(goOn)
	if err := <-second; err != nil {
		t.Error(err)
	}
}

package ssh

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func TestDialErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConnectTimeout = 200 * time.Millisecond
	d := b.dialer()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	_, err = d.Dial(t.Context(), Target{Name: "n1", Address: "127.0.0.1", Port: free.Addr().(*net.TCPAddr).Port})
	wantError(t, err, diag.Unreachable, "n1", "connection refused", "ssh.port")
	_, err = d.Dial(t.Context(), Target{Name: "n1", Address: "no-such-host.invalid"})
	wantError(t, err, diag.Unreachable, "n1", "does not resolve")
	_, err = d.Dial(t.Context(), target(b.server(sshtest.Options{Faults: sshtest.Faults{Silent: true}})))
	wantError(t, err, diag.Timeout, "n1", "200ms")
	_, err = d.Dial(t.Context(), target(b.server(sshtest.Options{Faults: sshtest.Faults{CutAfter: 100}})))
	wantError(t, err, diag.Transport, "n1", "MaxStartups")
	_, err = d.Dial(t.Context(), target(b.server(sshtest.Options{Faults: sshtest.Faults{RefuseAuth: true}})))
	wantError(t, err, diag.Auth, "n1", "admin@127.0.0.1", b.path("id"), b.key.Fingerprint, "ssh-copy-id")
	_, err = d.Dial(t.Context(), Target{})
	wantError(t, err, diag.Invalid, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = d.Dial(ctx, target(b.server(sshtest.Options{})))
	wantError(t, err, diag.Canceled, "n1")
}

func TestUnansweredDialIsUnreachable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConnectTimeout = 20 * time.Millisecond
	b.cfg.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := b.dialer().Dial(t.Context(), Target{Name: "n1", Address: "192.0.2.1"})
	wantError(t, err, diag.Unreachable, "n1", "powered on")
}

func TestCloseStopsDials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	srv := b.server(sshtest.Options{Faults: sshtest.Faults{Silent: true}})
	d := b.dialer()
	done := make(chan error)
	go func() {
		_, err := d.Dial(t.Context(), target(srv))
		done <- err
	}()
	for srv.Stats().Connections == 0 {
		time.Sleep(time.Millisecond)
	}
	d.Close()
	wantError(t, <-done, diag.Canceled, "n1")
	_, err := d.Dial(t.Context(), target(srv))
	wantError(t, err, diag.Canceled, "n1", "closed")
}

func TestManyDialsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.ConnectTimeout = time.Minute
	d := b.dialer()
	const hosts = 60
	servers := make([]*sshtest.Server, hosts)
	for i := range servers {
		servers[i] = b.server(sshtest.Options{Faults: sshtest.Faults{Latency: 20 * time.Millisecond}})
	}
	errs := make([]error, hosts)
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() {
			c, err := d.Dial(t.Context(), target(s))
			if err == nil {
				_, _, err = c.Run(t.Context(), "echo hi", nil)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	again := b.dialer() // every key was recorded once
	again.cfg.HostKeys, again.known.strict = Strict, true
	for _, s := range servers {
		s.SetFaults(sshtest.Faults{})
		if _, err := again.Dial(t.Context(), target(s)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRSAKeysSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, err := sshtest.NewRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	key.Write(t, b.path("id_rsa"), "")
	b.cfg.IdentityFiles = []string{b.path("id_rsa")}
	b.dial(b.server(sshtest.Options{Accept: []string{key.Public}, HostKey: key}))
}

func TestEncryptedKeyIsAskedForOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.key.Write(t, b.path("id"), "secret")
	var mu sync.Mutex
	asked := 0
	b.cfg.Passphrase = func(_ context.Context, file string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if file != b.path("id") {
			t.Errorf("asked for %s", file)
		}
		if asked == 1 {
			return []byte("mistyped"), nil
		}
		return []byte("secret"), nil
	}
	srv := b.server(sshtest.Options{})
	d := b.dialer()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := d.Dial(t.Context(), target(srv)); err != nil {
				t.Errorf("Dial: %v", err)
			}
		})
	}
	wg.Wait()
	if asked != 2 {
		t.Errorf("asked %d times, want once wrong and once right", asked)
	}

	b.cfg.Passphrase = nil
	_, err := b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Auth, "n1", "encrypted", "nobody to ask", "no key to offer")
	b.cfg.Passphrase = func(context.Context, string) ([]byte, error) { return []byte("wrong"), nil }
	_, err = b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Auth, "n1", "passphrase is wrong")
}

func TestPassphraseQuestionEndsWithTheContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.key.Write(t, b.path("id"), "secret")
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	b.cfg.Passphrase = func(ctx context.Context, _ string) ([]byte, error) {
		if calls++; calls == 1 {
			cancel()
			return nil, ctx.Err()
		}
		return []byte("secret"), nil
	}
	srv := b.server(sshtest.Options{})
	d := b.dialer()
	_, err := d.Dial(ctx, target(srv))
	wantError(t, err, diag.Canceled, "n1")
	if _, err := d.Dial(t.Context(), target(srv)); err != nil {
		t.Errorf("asking again: %v", err)
	}
}

func TestMissingKeyFileIsTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.IdentityFiles = []string{b.path("nowhere"), b.write("junk", "not a key")}
	_, err := b.dialer().Dial(t.Context(), target(b.server(sshtest.Options{})))
	wantError(t, err, diag.Auth, "n1", "nowhere: no such file", "junk: is not a private key")
}

func TestUserCertificateBesideTheKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cert := sshtest.MustKey(t).UserCert(t, b.key, "admin")
	b.write("id-cert.pub", cert)
	b.dial(b.server(sshtest.Options{Accept: []string{cert}}))
}

// startAgent serves an SSH agent that holds keys.
func startAgent(t *testing.T, socket string, keys ...*sshtest.Key) {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k.Private()}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = agent.ServeAgent(ring, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
}

func TestAgentKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	socket := b.path("agent.sock")
	startAgent(t, socket, b.key, sshtest.MustKey(t), sshtest.MustKey(t), sshtest.MustKey(t), sshtest.MustKey(t), sshtest.MustKey(t), sshtest.MustKey(t))
	srv := b.server(sshtest.Options{})
	b.cfg.UseAgent, b.cfg.AgentSocket = true, socket

	// The key is named: it comes first, though the agent has more keys than a
	// server lets try, and its passphrase is not asked for.
	other := sshtest.MustKey(t)
	other.Write(t, b.path("other"), "")
	b.key.Write(t, b.path("id"), "secret")
	b.cfg.IdentityFiles = []string{b.path("other"), b.path("id")}
	b.dial(srv)

	// Only its public half is here.
	if err := os.WriteFile(b.path("id"), []byte(b.key.Public), 0o600); err != nil {
		t.Fatal(err)
	}
	b.dial(srv)

	// Nothing fits: all that was tried is named.
	b.cfg.IdentityFiles = []string{b.path("other")}
	_, err := b.dialer().Dial(t.Context(), target(b.server(sshtest.Options{Accept: []string{"none none"}})))
	wantError(t, err, diag.Auth, "n1", b.path("other"), "SSH agent ("+b.key.Fingerprint)

	b.cfg.AgentSocket = b.path("gone.sock")
	_, err = b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Auth, "n1", "SSH agent: dial unix")
}

func TestDefaultsOfTarget(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.dialer()
	h, err := d.resolve(Target{Address: "example.test"})
	if err != nil {
		t.Fatal(err)
	}
	if want := d.login + "@example.test:" + strconv.Itoa(22); h.String() != want || h.name != "example.test" {
		t.Errorf("resolved to %s (%s), want %s", h, h.name, want)
	}
	_, err = d.resolve(Target{Address: "x", Port: 70000})
	wantError(t, err, diag.Invalid, "x", "70000")
	if _, err := NewDialer(Config{HostKeys: "maybe"}); diag.KindOf(err) != diag.Invalid {
		t.Errorf("NewDialer took a wrong hostKeys: %v", err)
	}
}

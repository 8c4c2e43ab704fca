package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func address(s *sshtest.Server) string { return fmt.Sprintf("[127.0.0.1]:%d", s.Port()) }

func TestAcceptNewRecordsThenRefusesAChange(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.KnownHosts = b.path("deep/er/known_hosts")
	srv := b.server(sshtest.Options{})
	d := b.dialer()
	if _, err := d.Dial(t.Context(), target(srv)); err != nil {
		t.Fatal(err)
	}
	if got, want := b.read("deep/er/known_hosts"), address(srv)+" "+srv.HostKey()+"\n"; got != want {
		t.Errorf("known_hosts is %q, want %q", got, want)
	}
	for name, want := range map[string]os.FileMode{"deep/er": 0o700, "deep/er/known_hosts": 0o600} {
		if fi, err := os.Stat(b.path(name)); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v", name, fi.Mode(), err)
		}
	}
	srv.SetHostKey(sshtest.MustKey(t))
	for _, d := range []*Dialer{d, b.dialer()} { // from memory, and from the file
		_, err := d.Dial(t.Context(), target(srv))
		wantError(t, err, diag.HostKey, "n1", "changed", "known_hosts:1", "ssh-keygen -R '"+address(srv)+"'")
	}
	if n := strings.Count(b.read("deep/er/known_hosts"), "\n"); n != 1 {
		t.Errorf("known_hosts has %d lines after a refusal", n)
	}
	// The remedy works, in the same process.
	b.write("deep/er/known_hosts", "")
	if _, err := d.Dial(t.Context(), target(srv)); err != nil {
		t.Errorf("after removing the line: %v", err)
	}
}

func TestStrictNeedsTheKeyBeforehand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HostKeys = Strict
	srv := b.server(sshtest.Options{})
	_, err := b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.HostKey, "n1", "does not know this host", "ssh_host_ed25519_key.pub")
	if _, err := os.Stat(b.path("known_hosts")); err == nil {
		t.Error("strict made a known_hosts file")
	}
	b.write("known_hosts", "# mine\n\n"+knownhosts.HashHostname(address(srv))+" "+srv.HostKey())
	b.dial(srv)
}

func TestAppendKeepsALastLineWithoutEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := "other.test " + sshtest.MustKey(t).Public
	b.write("known_hosts", other)
	srv := b.server(sshtest.Options{})
	b.dial(srv)
	if got, want := b.read("known_hosts"), other+"\n"+address(srv)+" "+srv.HostKey()+"\n"; got != want {
		t.Errorf("known_hosts is %q, want %q", got, want)
	}
}

// A host has keys of several types: the one on record must be asked for
// (k0sctl #813).
func TestKnownKeyTypeIsAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rsa, err := sshtest.NewRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	ec, err := sshtest.NewECDSAKey()
	if err != nil {
		t.Fatal(err)
	}
	srv := b.server(sshtest.Options{Faults: sshtest.Faults{MoreHostKeys: []*sshtest.Key{rsa, ec}}})
	b.cfg.HostKeys = Strict
	for _, key := range []string{srv.HostKey(), rsa.Public, ec.Public} {
		b.write("known_hosts", address(srv)+" "+key+"\n")
		if _, err := b.dialer().Dial(t.Context(), target(srv)); err != nil {
			t.Errorf("with %.12s on record: %v", key, err)
		}
	}
}

func TestPinnedKeyWins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HostKeys = Strict
	host := sshtest.MustKey(t)
	ec, err := sshtest.NewECDSAKey()
	if err != nil {
		t.Fatal(err)
	}
	srv := b.server(sshtest.Options{HostKey: host, Faults: sshtest.Faults{MoreHostKeys: []*sshtest.Key{ec}}})
	b.write("known_hosts", address(srv)+" "+sshtest.MustKey(t).Public+"\n")
	d := b.dialer()
	for _, pin := range []string{host.Public, host.Public + " comment", host.Fingerprint, ec.Public, ec.Fingerprint} {
		tg := target(srv)
		tg.HostKey = pin
		if _, err := d.Dial(t.Context(), tg); err != nil {
			t.Errorf("pin %s: %v", pin, err)
		}
	}
	wrong := sshtest.MustKey(t)
	for _, pin := range []string{wrong.Public, wrong.Fingerprint} {
		tg := target(srv)
		tg.HostKey = pin
		_, err := d.Dial(t.Context(), tg)
		wantError(t, err, diag.HostKey, "n1", "pins", wrong.Fingerprint)
	}
	for _, pin := range []string{"SHA256:short", "nonsense"} {
		tg := target(srv)
		tg.HostKey = pin
		_, err := d.Dial(t.Context(), tg)
		wantError(t, err, diag.Invalid, "n1", pin)
	}
}

func TestAuthorityAndRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HostKeys = Strict
	authority, host := sshtest.MustKey(t), sshtest.MustKey(t)
	signed := b.server(sshtest.Options{HostKey: host, HostCert: authority.HostCert(t, host, "127.0.0.1")})
	plain := b.server(sshtest.Options{HostKey: host})
	line := fmt.Sprintf("@cert-authority [127.0.0.1]:%d,[127.0.0.1]:%d %s\n", signed.Port(), plain.Port(), authority.Public)
	b.write("known_hosts", line)
	d := b.dialer()
	if _, err := d.Dial(t.Context(), target(signed)); err != nil {
		t.Errorf("a certificate of the authority: %v", err)
	}
	_, err := d.Dial(t.Context(), target(plain))
	wantError(t, err, diag.HostKey, "n1", "without a certificate", "known_hosts:1")

	b.write("known_hosts", line+"@revoked * "+host.Public+"\n")
	for _, s := range []*sshtest.Server{signed, plain} {
		_, err = b.dialer().Dial(t.Context(), target(s))
		wantError(t, err, diag.HostKey, "n1", "revoked")
	}
}

func TestBadLinesDoNotHideGoodOnes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.HostKeys = Strict
	srv := b.server(sshtest.Options{})
	b.write("known_hosts", "host ssh-future AAAA\n"+address(srv)+" "+srv.HostKey()+"\n")
	b.dial(srv)
	if got := b.warnings(); !strings.Contains(got, "known_hosts:1: this line") {
		t.Errorf("warnings: %q", got)
	}
	srv.SetHostKey(sshtest.MustKey(t))
	_, err := b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.HostKey, "n1", b.path("known_hosts")+":2")

	b.write("known_hosts", "@revoked host ssh-future AAAA\n")
	_, err = b.dialer().Dial(t.Context(), target(srv))
	wantError(t, err, diag.Invalid, "n1", "known_hosts:1")
}

// Two processes, each with an old view of the file, must not lose lines nor
// record two keys for a host.
func TestParallelWriters(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "known_hosts")
	key := sshtest.MustKey(t)
	public := parse(t, key.Public)
	const writers, hosts = 4, 25
	var wg sync.WaitGroup
	for range writers {
		k := &knownHosts{file: file, warn: func(s string) { t.Error(s) }}
		wg.Go(func() {
			for i := range hosts {
				if err := k.check(fmt.Sprintf("h%d.test:22", i), public); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), "\n"); got != hosts {
		t.Errorf("known_hosts has %d lines, want %d", got, hosts)
	}
	k := &knownHosts{file: file, warn: func(s string) { t.Error(s) }}
	other := parse(t, sshtest.MustKey(t).Public)
	if err := k.check("h7.test:22", other); diag.KindOf(err) != diag.HostKey {
		t.Errorf("another key for h7: %v", err)
	}
}

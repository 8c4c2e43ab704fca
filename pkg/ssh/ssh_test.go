package ssh

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a user with a key and a home of their own.
type bench struct {
	t    *testing.T
	dir  string
	key  *sshtest.Key
	cfg  Config
	mu   sync.Mutex
	said []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), key: sshtest.MustKey(t)}
	b.key.Write(t, b.path("id"), "")
	b.cfg = Config{
		IdentityFiles:  []string{b.path("id")},
		KnownHosts:     b.path("known_hosts"),
		ConnectTimeout: 10 * time.Second,
		Warn: func(s string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.said = append(b.said, s)
		},
	}
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) string {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.path(name)
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *bench) warnings() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.said, "\n")
}

// server starts a server that lets the bench's key in.
func (b *bench) server(o sshtest.Options) *sshtest.Server {
	b.t.Helper()
	if o.Accept == nil {
		o.Accept = []string{b.key.Public}
	}
	if o.Handler == nil {
		o.Handler = echo
	}
	return sshtest.New(b.t, o)
}

func (b *bench) dialer() *Dialer {
	b.t.Helper()
	d, err := NewDialer(b.cfg)
	if err != nil {
		b.t.Fatalf("NewDialer: %v", err)
	}
	b.t.Cleanup(func() { d.Close() })
	return d
}

func (b *bench) dial(s *sshtest.Server) *Conn {
	b.t.Helper()
	c, err := b.dialer().Dial(b.t.Context(), target(s))
	if err != nil {
		b.t.Fatalf("Dial: %v", err)
	}
	return c
}

func target(s *sshtest.Server) Target {
	return Target{Name: "n1", Address: "127.0.0.1", User: "admin", Port: s.Port()}
}

// echo answers a few words as commands.
func echo(ctx context.Context, cmd string, stdin io.Reader, stdout, stderr io.Writer) int {
	word, rest, _ := strings.Cut(cmd, " ")
	switch word {
	case "echo":
		fmt.Fprintln(stdout, rest)
	case "cat":
		_, _ = io.Copy(stdout, stdin)
	case "fail":
		fmt.Fprintln(stderr, "first line")
		fmt.Fprintln(stderr, "no such \x1b[31munit")
		return 3
	case "killed":
		return -9
	case "hang":
		<-ctx.Done()
	case "flood":
		_, _ = io.Copy(stdout, io.LimitReader(zeros{}, maxStdout+100))
	case "noise":
		_, _ = io.WriteString(stderr, strings.Repeat("x", maxStderr)+"END")
	}
	return 0
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// wantError checks kind, host and words of an error and of its hint.
func wantError(t *testing.T, err error, kind diag.Kind, host string, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %s", kind)
	}
	text := err.Error() + "\n" + diag.Hint(err)
	if got := diag.KindOf(err); got != kind {
		t.Errorf("kind = %q, want %q: %s", got, kind, text)
	}
	if got := diag.HostOf(err); got != host {
		t.Errorf("host = %q, want %q: %s", got, host, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in: %s", w, text)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "''", "a b": "'a b'", "it's $HOME": `'it'\''s $HOME'`} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{}))
	out, _, err := c.Run(t.Context(), "echo hello", nil)
	if err != nil || string(out) != "hello\n" {
		t.Errorf("echo gave %q, %v", out, err)
	}
	big := bytes.Repeat([]byte("kforge"), 100_000)
	if out, _, err = c.Run(t.Context(), "cat", bytes.NewReader(big)); err != nil || !bytes.Equal(out, big) {
		t.Errorf("cat gave %d bytes, %v", len(out), err)
	}
	_, stderr, err := c.Run(t.Context(), "fail", nil)
	wantError(t, err, diag.Command, "n1", "exit status 3", "no such [31munit")
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !bytes.Contains(stderr, []byte("first line")) {
		t.Errorf("exit = %+v, stderr = %q", exit, stderr)
	}
	_, _, err = c.Run(t.Context(), "killed", nil)
	wantError(t, err, diag.Command, "n1", "killed by SIGKILL")
	out, _, err = c.Run(t.Context(), "flood", nil)
	wantError(t, err, diag.Command, "", "more than")
	if len(out) != maxStdout {
		t.Errorf("flood gave %d bytes", len(out))
	}
	if _, stderr, err = c.Run(t.Context(), "noise", nil); err != nil || len(stderr) != maxStderr || !bytes.HasSuffix(stderr, []byte("END")) {
		t.Errorf("noise gave %d bytes, %v", len(stderr), err)
	}
	if got := c.Stats().Sessions; got != 6 {
		t.Errorf("sessions = %d, want 6", got)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := c.Run(ctx, "hang", nil)
	wantError(t, err, diag.Timeout, "n1")
	if _, _, err := c.Run(t.Context(), "echo still here", nil); err != nil {
		t.Errorf("the connection did not survive: %v", err)
	}
}

func TestSessionStreams(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{Faults: sshtest.Faults{Noise: "Welcome!\n"}}))
	s, err := c.Start(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(s.Stdin, "ping"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len("Welcome!\nping"))
	if _, err := io.ReadFull(s.Stdout, got); err != nil || string(got) != "Welcome!\nping" {
		t.Fatalf("read %q, %v", got, err)
	}
	s.Stdin.Close()
	if rest, err := io.ReadAll(s.Stdout); err != nil || len(rest) > 0 {
		t.Errorf("rest = %q, %v", rest, err)
	}
	if err := s.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestSessionFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults sshtest.Faults
		kind   diag.Kind
		words  []string
	}{
		{"exec refused", sshtest.Faults{RefuseExec: true}, diag.Unsupported, []string{"ForceCommand"}},
		{"exit status missing", sshtest.Faults{NoExitStatus: true}, diag.Transport, []string{"without an exit status"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c := b.dial(b.server(sshtest.Options{Faults: tt.faults}))
			_, _, err := c.Run(t.Context(), "echo x", nil)
			wantError(t, err, tt.kind, "n1", tt.words...)
		})
	}
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{Faults: sshtest.Faults{MaxSessions: 1}}))
	s, err := c.Start(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = c.Start(t.Context(), "echo x")
	wantError(t, err, diag.Transport, "n1", "MaxSessions")
}

func TestBrokenConnectionFailsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	srv := b.server(sshtest.Options{})
	c := b.dial(srv)
	if c.Err() != nil {
		t.Errorf("Err() = %v on an open connection", c.Err())
	}
	s, err := c.Start(t.Context(), "hang")
	if err != nil {
		t.Fatal(err)
	}
	srv.Cut()
	wantError(t, s.Wait(), diag.Transport, "n1")
	<-c.Done()
	wantError(t, c.Err(), diag.Transport, "n1", "run the command again")
	_, err = c.Start(t.Context(), "echo x")
	wantError(t, err, diag.Transport, "n1")
	_, err = c.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	wantError(t, err, diag.Transport, "n1")
	wantError(t, c.Upload(t.Context(), "/x", 0o600, strings.NewReader("x"), 1, ""), diag.Transport, "n1")
}

func TestCloseEndsWhatRuns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{}))
	s, err := c.Start(t.Context(), "hang")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	wantError(t, s.Wait(), diag.Canceled, "n1", "closed")
	wantError(t, c.Err(), diag.Canceled, "n1")
	c.Close()
}

func TestHangAfterAuthEndsWithTheContext(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.dial(b.server(sshtest.Options{Faults: sshtest.Faults{HangAfterAuth: true}}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Start(ctx, "echo x")
	wantError(t, err, diag.Timeout, "n1")
}

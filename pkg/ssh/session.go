package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// Bounds of what [Conn.Run] keeps.
const (
	maxStdout = 4 << 20  // more is an error
	maxStderr = 64 << 10 // the end is kept
)

// Session is one running command. Stdout and Stderr must both be read until
// their end: they share one flow-control window of 2 MiB, so that one that
// nobody reads stops the other.
type Session struct {
	Stdin  io.WriteCloser
	Stdout io.Reader
	Stderr io.Reader

	conn *Conn
	sess *cssh.Session
}

// Start runs command through the login shell of the host, without a terminal.
// ctx bounds the start only; Close ends the session.
func (c *Conn) Start(ctx context.Context, command string) (*Session, error) {
	const op = "start command"
	s, err := call(ctx, c, op, func() (*Session, error) { return c.exec(command) }, func(s *Session) { s.Close() })
	var refused *cssh.OpenChannelError
	switch {
	case err == nil:
		return s, nil
	case ctx.Err() != nil:
		return nil, ended(ctx, op, c.hop.name)
	case errors.As(err, &refused):
		return nil, diag.Wrap(diag.Transport, op, err).On(c.hop.name).
			WithHint("sshd allows no further session on this connection: raise MaxSessions in its sshd_config")
	case errors.Is(err, errExecRefused):
		return nil, diag.Wrap(diag.Unsupported, op, err).On(c.hop.name).
			WithHint("the account may not run commands: check its login shell and ForceCommand in sshd_config")
	}
	if err = c.gone(err); diag.KindOf(err) != diag.Unknown {
		return nil, err
	}
	return nil, diag.Wrap(diag.Transport, op, err).On(c.hop.name)
}

var errExecRefused = errors.New("sshd refused to run it")

func (c *Conn) exec(command string) (_ *Session, err error) {
	sess, _, err := opened(c, func() (*cssh.Session, any, error) {
		sess, err := c.client.NewSession()
		return sess, nil, err
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			sess.Close()
		}
	}()
	s := &Session{conn: c, sess: sess}
	if s.Stdin, err = sess.StdinPipe(); err != nil {
		return nil, err
	}
	if s.Stdout, err = sess.StdoutPipe(); err != nil {
		return nil, err
	}
	if s.Stderr, err = sess.StderrPipe(); err != nil {
		return nil, err
	}
	if err := sess.Start(command); err != nil {
		// The library tells a refusal by its words only.
		if strings.HasSuffix(err.Error(), "failed") {
			return nil, errExecRefused
		}
		return nil, err
	}
	return s, nil
}

// A session is asked for at most so often, each time after a longer pause from
// 10 ms on: over a second in all, for a host that is busy.
const (
	sessionTries = 8
	sessionPause = 10 * time.Millisecond
)

// opened opens a session channel. sshd counts one that just ended until its
// main loop comes round, so that with a small MaxSessions the next one is
// refused for nothing: a round trip later it is not.
func opened[A, B any](c *Conn, open func() (A, B, error)) (A, B, error) {
	for try := 1; ; try++ {
		a, b, err := open()
		if err == nil {
			c.sessions.Add(1)
			return a, b, nil
		}
		var refused *cssh.OpenChannelError
		if try == sessionTries || !errors.As(err, &refused) {
			return a, b, err
		}
		pause := time.NewTimer(sessionPause << (try - 1))
		select {
		case <-pause.C:
		case <-c.done:
			pause.Stop()
		}
		if _, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil); err != nil {
			return a, b, err
		}
	}
}

// Wait waits for the end of the command. It gives nil for exit code 0, an
// *[ExitError] for another end, in an error of kind Transport when the end is
// not known, and the connection's error when that broke.
func (s *Session) Wait() error {
	err := exitError(s.sess.Wait())
	var exit *ExitError
	if err == nil || errors.As(err, &exit) && !exit.Missing {
		return err
	}
	if gone := s.conn.gone(nil); gone != nil {
		return gone
	}
	return diag.Wrap(diag.Transport, "wait for command", err).On(s.conn.hop.name)
}

// Close ends the session. The command sees the end of its input; it is not
// killed.
func (s *Session) Close() error {
	if err := s.sess.Close(); err != nil && !errors.Is(err, io.EOF) {
		return s.conn.gone(err)
	}
	return nil
}

// Run runs command to its end and gives what it wrote: all of stdout, up to
// 4 MiB, and the last 64 KiB of stderr. A command that fails is an error of
// kind Command around an *[ExitError]. stdin may be nil; it is read until its
// end or the end of the command, so that it must not block for ever.
func (c *Conn) Run(ctx context.Context, command string, stdin io.Reader) (stdout, stderr []byte, err error) {
	const op = "run command"
	s, err := c.Start(ctx, command)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	type end struct {
		out, errs []byte
		err       error
	}
	r, err := call(ctx, c, op, func() (end, error) {
		var e end
		fed, drained := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(fed)
			if stdin != nil {
				_, _ = io.Copy(s.Stdin, stdin) // a command need not read it all
			}
			s.Stdin.Close()
		}()
		go func() {
			defer close(drained)
			e.errs = tail(s.Stderr, maxStderr)
		}()
		out, rerr := io.ReadAll(io.LimitReader(s.Stdout, maxStdout+1))
		if e.out = out; len(out) > maxStdout {
			s.Close()
			e.out, rerr = out[:maxStdout], diag.New(diag.Command, op, "it wrote more than %d bytes", maxStdout)
		}
		werr := s.Wait()
		<-drained
		<-fed
		if e.err = rerr; rerr == nil {
			e.err = werr
		}
		return e, nil
	}, func(end) {})
	if err != nil {
		return nil, nil, err
	}
	return r.out, r.errs, c.commandError(op, r.err, r.errs)
}

// commandError puts the end of stderr, which says why, into the error.
func (c *Conn) commandError(op string, err error, stderr []byte) error {
	var exit *ExitError
	if err == nil || !errors.As(err, &exit) || exit.Missing {
		return err
	}
	last := strings.TrimSpace(strings.ToValidUTF8(string(stderr), "?"))
	if i := strings.LastIndexByte(last, '\n'); i >= 0 {
		last = last[i+1:]
	}
	e := diag.Wrap(diag.Command, op, exit).On(c.hop.name)
	e.Msg = printable(last)
	return e
}

// printable drops control characters, which could repaint a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// tail reads r to its end and keeps the last n bytes.
func tail(r io.Reader, n int) []byte {
	var kept bytes.Buffer
	chunk := make([]byte, 16<<10)
	for {
		m, err := r.Read(chunk)
		kept.Write(chunk[:m])
		if over := kept.Len() - n; over > 0 {
			kept.Next(over)
		}
		if err != nil {
			return kept.Bytes()
		}
	}
}

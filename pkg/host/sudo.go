package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ssh"
)

// answerSudo waits for sudo's prompt, which holds the nonce somewhere (sudo-rs
// wraps it), and only then writes the password. Nothing is ever sent to a
// program that did not ask.
func answerSudo(ctx context.Context, stdin io.Writer, stderr *tail, nonce string, password spec.Secret) error {
	if err := stderr.waitFor(ctx, nonce, 1); err != nil {
		return diag.Wrap(diag.Sudo, "become root", fmt.Errorf("sudo did not ask for a password: %w", err)).
			WithHint("try `sudo true` as the login user on the host")
	}
	line := append(bytes.Clone(password), '\n')
	_, err := stdin.Write(line)
	clear(line)
	if err != nil {
		return diag.Wrap(diag.Transport, "become root", err)
	}
	return nil
}

// endAtSecondPrompt ends sudo's input when it asks again: the password was wrong,
// and sudo would wait for another one until the deadline. It returns when ctx
// ends or the session does.
func endAtSecondPrompt(ctx context.Context, stdin io.Closer, stderr *tail, nonce string) {
	if err := stderr.waitFor(ctx, nonce, 2); err == nil {
		stdin.Close()
	}
}

// launchFailed is a launcher that ended without an agent.
type launchFailed struct {
	code   int
	stdout string
	stderr string
	nonce  string
}

func (f *launchFailed) Error() string { return f.explain().Error() }

// explain says what a person should do about it.
func (f *launchFailed) explain() error {
	const op = "start agent"
	said := f.stderr
	if f.nonce != "" {
		said = strings.TrimSpace(strings.ReplaceAll(said, f.nonce, ""))
		if f.code != exitNeedUpload && f.code != exitUnsupported {
			return diag.New(diag.Sudo, "become root", "sudo refused the password (%s)", said).
				WithHint("check the password, and that the login user may run every command by sudo")
		}
	}
	switch f.code {
	case exitUnsupported:
		return diag.New(diag.Unsupported, op, "%s", said).
			WithHint("kforge has agents for linux/amd64 and linux/arm64")
	case exitNeedSudo:
		return diag.New(diag.Sudo, "become root", "the login user is not root, and sudo wants a password or refuses").
			WithHint("allow it without a password (NOPASSWD in a file of /etc/sudoers.d), or run kforge with --ask-sudo-password")
	case exitNoSudo:
		return diag.New(diag.Sudo, "become root", "the login user is not root, and there is no sudo on the host").
			WithHint("log in as root (user: root in the inventory), or install sudo")
	case exitNeedUpload:
		return diag.New(diag.Permission, op, "the agent was uploaded and still cannot be run from there").
			WithHint("name a directory without noexec in ssh.agentDir of the inventory")
	default:
		return diag.New(diag.Transport, op, "the login shell ended with exit code %d: %s%s", f.code, said, firstLine([]byte(f.stdout))).
			WithHint("try `ssh HOST /bin/sh -c true`: the login shell must run commands")
	}
}

// notStarted turns the end of a session before the agent's mark into a reason.
func (h *Host) notStarted(s *ssh.Session, noise []byte, stderr *tail, nonce string, cause error) error {
	if diag.KindOf(cause) == diag.Transport { // too much noise: it is still running
		return &diag.Error{Kind: diag.Transport, Op: "start agent", Err: fmt.Errorf("%w; it began with %q", cause, firstLine(noise)),
			Hint: "make the login shell quiet for commands that are not interactive"}
	}
	err := s.Wait()
	var exit *ssh.ExitError
	if !errors.As(err, &exit) {
		if err == nil {
			return &launchFailed{code: 0, stdout: string(noise), stderr: stderr.text(), nonce: nonce}
		}
		return &diag.Error{Kind: diag.Transport, Op: "start agent", Err: err}
	}
	stderr.wait()
	return &launchFailed{code: exit.Code, stdout: string(noise), stderr: stderr.text(), nonce: nonce}
}

// tail keeps the last of what a stream said, and lets somebody wait for a word.
type tail struct {
	mu   sync.Mutex
	buf  []byte
	more chan struct{} // closed and renewed on every read
	done chan struct{}
}

const tailSize = 32 << 10

func newTail(r io.Reader) *tail {
	t := &tail{more: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		b := make([]byte, 4096)
		for {
			n, err := r.Read(b)
			t.mu.Lock()
			t.buf = append(t.buf, b[:n]...)
			if over := len(t.buf) - tailSize; over > 0 {
				t.buf = t.buf[over:]
			}
			close(t.more)
			t.more = make(chan struct{})
			t.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return t
}

func (t *tail) wait() { <-t.done }

// waitFor waits until a word was said so many times.
func (t *tail) waitFor(ctx context.Context, word string, times int) error {
	for {
		t.mu.Lock()
		found := bytes.Count(t.buf, []byte(word)) >= times
		more := t.more
		t.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-more:
		case <-t.done:
			return fmt.Errorf("it said: %s", t.text())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// text gives what was said in one line, safe to print.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return printable(string(bytes.TrimSpace(t.buf)))
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return printable(line)
}

// printable neutralises control characters: a host must not be able to drive
// the user's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case unicode.IsControl(r):
			return '?'
		}
		return r
	}, s)
}

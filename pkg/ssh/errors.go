package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// ExitError is the end of a remote command that did not succeed.
type ExitError struct {
	Code    int    // exit code, when there is no signal
	Signal  string // "KILL", "TERM" ... without SIG
	Missing bool   // the command ended without telling how
}

func (e *ExitError) Error() string {
	switch {
	case e.Missing:
		return "the command ended without an exit status"
	case e.Signal != "":
		return "killed by SIG" + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// exitError translates what the library says about the end of a command.
func exitError(err error) error {
	var exit *cssh.ExitError
	var missing *cssh.ExitMissingError
	switch {
	case errors.As(err, &exit):
		return &ExitError{Code: exit.ExitStatus(), Signal: exit.Signal()}
	case errors.As(err, &missing):
		return &ExitError{Missing: true}
	}
	return err
}

// ended gives the error of a context that is over, nil otherwise.
func ended(ctx context.Context, op, host string) error {
	if ctx.Err() == nil {
		return nil
	}
	kind := diag.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = diag.Timeout
	}
	return diag.Wrap(kind, op, context.Cause(ctx)).On(host)
}

// unreachable explains why no TCP connection came about.
func unreachable(h hop, err error) error {
	e := diag.Wrap(diag.Unreachable, "dial "+h.addr(), err).On(h.name)
	var dns *net.DNSError
	var open *cssh.OpenChannelError
	switch {
	case errors.As(err, &dns):
		return e.WithHint("the name %s does not resolve: check the address in the inventory", h.host)
	case errors.As(err, &open) && open.Reason == cssh.Prohibited:
		return e.WithHint("the bastion forbids forwarding: set AllowTcpForwarding yes in its sshd_config")
	case errors.As(err, &open):
		return e.WithHint("the bastion cannot reach %s: check that the host is up and its port open from there", h.addr())
	case errors.Is(err, syscall.ECONNREFUSED):
		return e.WithHint("nothing listens on port %d: check ssh.port, and `systemctl status ssh` on the host", h.port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return e.WithHint("there is no route to %s: check the address, and whether a bastion is needed", h.host)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return e.WithHint("%s does not answer: check that it is powered on and that no firewall is in between", h.host)
	}
	return e
}

// handshakeError explains why a connection got no further than TCP.
func handshakeError(h hop, o offer, err error) error {
	text := err.Error()
	var algo *cssh.AlgorithmNegotiationError
	switch {
	case strings.Contains(text, "unable to authenticate"), strings.Contains(text, "authentication failures"):
		return refused(h, o, err)
	case errors.As(err, &algo):
		return diag.Wrap(diag.Unsupported, "ssh handshake with "+h.addr(), err).On(h.name).
			WithHint("the host's sshd is too old or too restricted: allow a current algorithm in its sshd_config")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		return diag.Wrap(diag.Transport, "ssh handshake with "+h.addr(), err).On(h.name).
			WithHint("the host closed the connection: sshd may be overloaded (MaxStartups) or block this address (fail2ban, AllowUsers)")
	}
	return diag.Wrap(diag.Transport, "ssh handshake with "+h.addr(), err).On(h.name)
}

// refused names every key that was tried.
func refused(h hop, o offer, err error) error {
	e := &diag.Error{Kind: diag.Auth, Op: "sign in as " + h.String(), Host: h.name, Err: err}
	if len(o.signers) == 0 {
		e.Msg, e.Err = "there is no key to offer", nil
	}
	if len(o.told) > 0 {
		e.Msg = strings.TrimPrefix(e.Msg+"; tried "+strings.Join(o.told, ", "), "; ")
	}
	return e.WithHint("put a key of yours into authorized_keys there (ssh-copy-id -p %d %s@%s), load it with ssh-add, or name the right ssh.user or ssh.identityFiles",
		h.port, h.user, h.host)
}

// Package diag holds the one error type of kforge. It says what failed, on
// which host, at which step, why, and what to do next; it wraps its cause, and
// it survives the way from a host to the admin's machine as JSON. It never
// prints and never decides an exit code.
package diag

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Kind classifies an error by what a program may do about it. The list is
// append-only: the names travel over the wire and into recorded runs.
type Kind string

const (
	Unknown      Kind = ""
	Invalid      Kind = "invalid"       // bad flags or inventory
	Unreachable  Kind = "unreachable"   // no TCP connection, or a dead link
	Auth         Kind = "auth"          // SSH refused our keys
	HostKey      Kind = "host-key"      // host key unknown (strict) or changed
	Sudo         Kind = "sudo"          // no root rights on the host
	Transport    Kind = "transport"     // the connection or stream broke
	Timeout      Kind = "timeout"       // a deadline passed
	Canceled     Kind = "canceled"      // the user or a budget stopped it
	NoSpace      Kind = "no-space"      // disk full
	Permission   Kind = "permission"    // denied by the host's system
	NotFound     Kind = "not-found"     // a file, artifact or object is missing
	Digest       Kind = "digest"        // content differs from its digest
	Foreign      Kind = "foreign"       // belongs to somebody else: not touched
	Locked       Kind = "locked"        // held by another run
	NotConverged Kind = "not-converged" // applied, and still different
	Command      Kind = "command"       // a program on the host failed
	Unsupported  Kind = "unsupported"   // cannot work on this host or version
	ReadOnly     Kind = "read-only"     // a change was asked of a read-only agent
	Preflight    Kind = "preflight"     // findings stand in the way
	Consent      Kind = "consent"       // a yes is needed and cannot be asked
	Partial      Kind = "partial"       // some hosts failed, the others finished
	Cluster      Kind = "cluster"       // the Kubernetes API refused or is unwell
	Internal     Kind = "internal"      // a defect of kforge
)

// Retryable reports whether the same request may succeed when it is sent again
// without anybody acting in between.
func (k Kind) Retryable() bool {
	return k == Unreachable || k == Transport || k == Timeout
}

// Position is a place in a file of the user. Line and Col count from 1; zero
// means unknown.
type Position struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

// String gives file:line:col, leaving out what is unknown.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Col == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	}
}

// Error is the one error type. All fields but Op or Msg may be empty.
type Error struct {
	Kind Kind
	Op   string   // the verb and object in hand: "upload agent", "kubeadm init"
	Host string   // inventory name of the host
	Step string   // id of the step in the run's graph
	Pos  Position // where in a file of the user
	Msg  string   // what is wrong, when there is no cause that says it
	Hint string   // what to do next, one sentence or more, for a person
	Err  error    // cause
}

var _ error = (*Error)(nil)

// New makes an error of a kind that has no deeper cause.
func New(kind Kind, op, format string, args ...any) *Error {
	return &Error{Kind: kind, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Wrap makes an error of a kind around its cause. It returns a typed nil never:
// call it only with a non-nil cause.
func Wrap(kind Kind, op string, err error) *Error {
	return &Error{Kind: kind, Op: op, Err: err}
}

// WithHint sets what to do next and returns the same error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// On sets the host and returns the same error.
func (e *Error) On(host string) *Error { e.Host = host; return e }

// At sets the position and returns the same error.
func (e *Error) At(p Position) *Error { e.Pos = p; return e }

// Error prints position, host, operation, message and cause, in this order and
// without saying twice what the cause already says. Hints are not part of it:
// see [Hint].
func (e *Error) Error() string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	add(e.Pos.String())
	var inner *Error
	nested := errors.As(e.Err, &inner)
	if !nested || inner.Host != e.Host {
		add(e.Host)
	}
	add(e.Op)
	add(e.Msg)
	if e.Err != nil {
		add(e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf finds the kind of the outermost *Error in err's chain that has one.
// Context errors without an *Error around them give Canceled or Timeout.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		var d *Error
		if !errors.As(e, &d) {
			break
		}
		if d.Kind != Unknown {
			return d.Kind
		}
		e = d.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Unknown
}

// HostOf finds the first host named in err's chain.
func HostOf(err error) string { return find(err, func(d *Error) string { return d.Host }) }

// StepOf finds the first step named in err's chain.
func StepOf(err error) string { return find(err, func(d *Error) string { return d.Step }) }

// Hint finds the first hint in err's chain.
func Hint(err error) string { return find(err, func(d *Error) string { return d.Hint }) }

func find(err error, field func(*Error) string) string {
	for err != nil {
		var d *Error
		if !errors.As(err, &d) {
			return ""
		}
		if s := field(d); s != "" {
			return s
		}
		err = d.Err
	}
	return ""
}

// wireError is the JSON shape of an Error: the cause is flattened to its text,
// since its Go type means nothing on the other side.
type wireError struct {
	Kind Kind      `json:"kind,omitempty"`
	Op   string    `json:"op,omitempty"`
	Host string    `json:"host,omitempty"`
	Step string    `json:"step,omitempty"`
	Pos  *Position `json:"pos,omitempty"`
	Msg  string    `json:"msg,omitempty"`
	Hint string    `json:"hint,omitempty"`
}

// MarshalJSON writes the error with its cause flattened into the message.
func (e *Error) MarshalJSON() ([]byte, error) {
	w := wireError{Kind: KindOf(e), Op: e.Op, Host: HostOf(e), Step: StepOf(e), Msg: e.Msg, Hint: Hint(e)}
	if e.Pos != (Position{}) {
		w.Pos = &e.Pos
	}
	if e.Err != nil {
		if w.Msg != "" {
			w.Msg += ": "
		}
		w.Msg += e.Err.Error()
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Error) UnmarshalJSON(b []byte) error {
	var w wireError
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = Error{Kind: w.Kind, Op: w.Op, Host: w.Host, Step: w.Step, Msg: w.Msg, Hint: w.Hint}
	if w.Pos != nil {
		e.Pos = *w.Pos
	}
	return nil
}

// From gives err as an *Error: the one in its chain when err itself is one,
// else a new one around it with the kind that KindOf finds.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	if d, ok := err.(*Error); ok { //nolint:errorlint // only the outermost counts
		return d
	}
	return &Error{Kind: KindOf(err), Host: HostOf(err), Err: err}
}

// Package host is the executor for host specs: it starts kforge-agent on a
// machine over one SSH connection and speaks with it. It decides nothing about
// what a host should hold.
package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/wire"
)

// Options are the same for all hosts of a run.
type Options struct {
	Dialer *ssh.Dialer
	Agents *agentbin.Set
	// AgentDir is tried first as the agent's home on hosts; empty for the
	// usual ones.
	AgentDir string
	// Mode read-write takes the host's lock, in the name of Lock.
	Mode wire.Mode
	Lock wire.Lock
	// SudoPassword asks a person, once per host; nil means never ask.
	SudoPassword func(ctx context.Context, host string) (spec.Secret, error)
	// Warn is told of what is odd but does no harm: noise of a login shell.
	Warn func(host, text string)
	// AnyUser accepts agents that are not root: for hosts that are temporary
	// folders.
	AnyUser bool
	// StartTimeout for connecting and starting the agent.
	StartTimeout time.Duration
	// Slow multiplies the time that the host has for each request; 0 is 1.
	Slow float64
}

// Host is a machine with a running agent.
type Host struct {
	Name string

	slow    float64
	conn    *ssh.Conn
	session *ssh.Session
	client  *client
	stderr  *tail
	over    chan struct{} // closed when the agent's end is known
	how     error         // its end; to be read after over

	closing sync.Once
	closed  error
}

// Connect dials, starts the agent (uploading it only when it is missing) and,
// in read-write mode, takes the host's lock. Every error names the host.
func Connect(ctx context.Context, o Options, target ssh.Target) (*Host, error) {
	if o.StartTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.StartTimeout,
			diag.New(diag.Timeout, "start agent", "no answer within %s", o.StartTimeout).
				WithHint("raise timeouts.connect, or timeoutScale of the host, in the inventory"))
		defer cancel()
	}
	conn, err := o.Dialer.Dial(ctx, target)
	if err != nil {
		return nil, diag.From(err).On(target.Name)
	}
	h := &Host{Name: target.Name, slow: o.Slow, conn: conn}
	if err := h.start(ctx, o); err != nil {
		conn.Close()
		return nil, diag.From(err).On(target.Name)
	}
	if o.Mode == wire.ReadWrite {
		if _, err := h.client.call(ctx, wire.Header{Type: wire.TLock, Lock: &o.Lock}, nil, nil); err != nil {
			err = h.wrap(err) // before Close, which would be taken for the reason
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// start runs the launcher; at most one upload and one question for a sudo
// password lie between the first try and success.
func (h *Host) start(ctx context.Context, o Options) error {
	var all []agentbin.Agent
	for _, arch := range o.Agents.Arches() {
		a, err := o.Agents.For(arch)
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		_, err := o.Agents.For("amd64")
		return err
	}
	var password spec.Secret
	uploaded := false
	for {
		err := h.launch(ctx, o, all, password)
		var f *launchFailed
		if !errors.As(err, &f) {
			return err
		}
		switch {
		case f.code == exitNeedUpload && !uploaded:
			if err := h.upload(ctx, o, f); err != nil {
				return err
			}
			uploaded = true
		case f.code == exitNeedSudo && password == nil && o.SudoPassword != nil:
			if password, err = o.SudoPassword(ctx, h.Name); err != nil {
				return err
			}
		default:
			return f.explain()
		}
	}
}

func (h *Host) upload(ctx context.Context, o Options, f *launchFailed) error {
	n, ok := parseNeed(f.stdout)
	if !ok {
		return f.explain()
	}
	if n.dir == "" {
		return diag.New(diag.Permission, "upload agent", "no directory on the host lets us keep and run a program (tried %s)", strings.Join(candidates(o.AgentDir), ", ")).
			WithHint("name a directory without noexec in ssh.agentDir of the inventory")
	}
	a, err := o.Agents.For(n.arch)
	if err != nil {
		return err
	}
	bin, err := o.Agents.Binary(n.arch)
	if err != nil {
		return err
	}
	if err := h.conn.Upload(ctx, path.Join(n.dir, a.FileName()), 0o700, bytes.NewReader(bin), a.Size, a.Digest); err != nil {
		return &diag.Error{Op: "upload agent", Err: err}
	}
	return nil
}

// launch starts the launcher once and waits for the agent's hello.
func (h *Host) launch(ctx context.Context, o Options, agents []agentbin.Agent, password spec.Secret) (err error) {
	nonce := ""
	if password != nil {
		var b [12]byte
		rand.Read(b[:])
		nonce = "kforge-" + hex.EncodeToString(b[:])
	}
	s, err := h.conn.Start(ctx, launcher(agents, o.AgentDir, o.Mode, nonce))
	if err != nil {
		return &diag.Error{Op: "start agent", Err: err}
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	defer func() {
		if err != nil {
			s.Close()
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
		}
	}()

	stderr := newTail(s.Stderr)
	if nonce != "" {
		if err := answerSudo(ctx, s.Stdin, stderr, nonce, password); err != nil {
			return err
		}
	}
	watch, unwatch := context.WithCancel(ctx)
	defer unwatch()
	var watcher sync.WaitGroup
	if nonce != "" {
		watcher.Go(func() { endAtSecondPrompt(watch, s.Stdin, stderr, nonce) })
	}
	r := wire.NewReader(s.Stdout)
	noise, err := r.SkipTo(wire.AgentMark, wire.MaxNoise)
	unwatch()
	watcher.Wait()
	if err != nil {
		return h.notStarted(s, noise, stderr, nonce, err)
	}
	if len(noise) > 0 && o.Warn != nil {
		o.Warn(h.Name, "the login shell printed: "+firstLine(noise))
	}
	hello, _, err := r.Read()
	if err != nil || hello.Type != wire.THello || hello.Hello == nil {
		return diag.New(diag.Transport, "start agent", "no hello from the agent (%v): %s", err, stderr.text())
	}
	if hello.Hello.Error != nil {
		return hello.Hello.Error
	}
	if !known(agents, hello.Hello.Agent) {
		return diag.New(diag.Digest, "start agent", "the program that answered is %s, which is not ours", hello.Hello.Agent).
			WithHint("remove kforge-agent-* from the agent's directory on the host and run again")
	}
	if hello.Hello.Euid != 0 && !o.AnyUser {
		return diag.New(diag.Sudo, "start agent", "the agent runs as uid %d, not as root", hello.Hello.Euid).
			WithHint("give the login user sudo rights to every command")
	}
	w := wire.NewWriter(s.Stdin)
	if err := w.Mark(wire.ClientMark); err != nil {
		return diag.Wrap(diag.Transport, "start agent", err)
	}
	h.session, h.stderr = s, stderr
	h.client = newClient(w, r, func() { s.Close() })
	h.over = make(chan struct{})
	go func() { // end waits for it
		defer close(h.over)
		h.how = s.Wait()
	}()
	return nil
}

func known(agents []agentbin.Agent, digest string) bool {
	for _, a := range agents {
		if digest == "sha256:"+a.Digest {
			return true
		}
	}
	return false
}

// Facts collects the host's facts, with its clock's offset.
func (h *Host) Facts(ctx context.Context) (*facts.Host, error) {
	p := patient(ctx, "read facts", stretch(askSilence, h.slow))
	defer p.stop()
	f, err := h.client.facts(p)
	return f, h.wrap(err)
}

// Plan gives the changes that applying the resources would make.
func (h *Host) Plan(ctx context.Context, resources []spec.Resource) ([]spec.Change, error) {
	r, err := h.ask(ctx, "observe the host", planSilence, wire.Header{Type: wire.TPlan, Plan: &wire.Plan{Resources: resources}})
	if err != nil {
		return nil, err
	}
	return r.Changes, nil
}

// Apply brings the resources to what they should be and gives the changes made,
// also when it fails.
func (h *Host) Apply(ctx context.Context, a wire.Apply, onEvent func(wire.Event)) ([]spec.Change, error) {
	p := patient(ctx, "apply", applySilence(a.Resources, h.slow))
	defer p.stop()
	r, err := h.client.call(p, wire.Header{Type: wire.TApply, Apply: &a}, nil, func(e wire.Event) {
		p.heard()
		if onEvent != nil {
			onEvent(e)
		}
	})
	if r == nil {
		return nil, h.wrap(err)
	}
	return r.Changes, h.wrap(err)
}

// Missing gives those of the digests that the host does not have in its store.
func (h *Host) Missing(ctx context.Context, digests []string) ([]string, error) {
	r, err := h.ask(ctx, "look for what is to be sent", askSilence, wire.Header{Type: wire.THas, Has: &wire.Has{Digests: digests}})
	if err != nil {
		return nil, err
	}
	return r.Missing, nil
}

// Put sends a blob into the host's store, which checks its digest. onSent is
// told of the bytes sent so far.
func (h *Host) Put(ctx context.Context, b spec.Blob, content io.Reader, onSent func(done int64)) error {
	p := patient(ctx, "send "+b.Name, stretch(sendSilence, h.slow))
	defer p.stop()
	_, err := h.client.call(p, wire.Header{Type: wire.TPut, Put: &wire.Put{Digest: b.Digest, Size: b.Size, Name: b.Name}},
		&counting{r: io.LimitReader(content, b.Size), tell: func(done int64) {
			p.heard()
			if onSent != nil {
				onSent(done)
			}
		}}, nil)
	if diag.KindOf(err) == diag.Timeout {
		return h.wrap(err) // it tells what was sent
	}
	if err != nil {
		return h.wrap(&diag.Error{Op: "send " + b.Name, Err: err})
	}
	return nil
}

// Read gives a file of the host, at most max bytes.
func (h *Host) Read(ctx context.Context, file string, max int64) ([]byte, error) {
	r, err := h.ask(ctx, "read "+file, askSilence, wire.Header{Type: wire.TRead, Read: &wire.Read{Path: file, Max: max}})
	if err != nil {
		return nil, err
	}
	return r.Content, nil
}

// DialContext connects to an address as seen from the host.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.conn.DialContext(ctx, network, addr)
}

// Mutating tells how many mutating requests were sent.
func (h *Host) Mutating() int { return int(h.client.mutating.Load()) }

// Alive reports whether requests can still be sent.
func (h *Host) Alive() bool { return h.client.broken() == nil }

// endPatience bounds the wait for an agent that was told to end: it brings what
// it wrote to the disk first.
const endPatience = time.Minute

// Close ends the agent, waits until what it wrote is safe on the host's disk,
// and closes the connection.
func (h *Host) Close() error {
	h.closing.Do(func() { h.closed = h.end() })
	return h.closed
}

func (h *Host) end() error {
	if h.client != nil {
		h.client.hush()
	}
	if h.session != nil {
		h.session.Stdin.Close() // end of input is how an agent is told to stop
	}
	if h.client != nil {
		t := time.NewTimer(endPatience)
		defer t.Stop()
		select {
		case <-h.client.ended:
		case <-h.conn.Done():
		case <-t.C:
		}
	}
	if h.session != nil {
		h.session.Close()
	}
	err := h.conn.Close()
	if h.client != nil {
		<-h.client.ended
		<-h.over
	}
	return err
}

// wrap names the host, and what the agent said last when the stream broke.
func (h *Host) wrap(err error) error {
	if err == nil {
		return nil
	}
	if diag.KindOf(err) == diag.Transport {
		err = h.whyBroken(err)
	}
	e := *diag.From(err)
	e.Host = h.Name
	return &e
}

// endKnown is how long after the stream broke its reason may come: what ends
// the agent and what ends the connection look the same at first.
const endKnown = time.Second

// whyBroken says more of a broken stream: why the connection ended or, where it
// still stands, how the agent ended and what it said last.
func (h *Host) whyBroken(err error) error {
	t := time.NewTimer(endKnown)
	defer t.Stop()
	select {
	case <-h.over:
	case <-h.conn.Done():
	case <-t.C:
		return err
	}
	if cause := h.conn.Err(); cause != nil {
		return cause
	}
	select {
	case <-h.over:
	default:
		return err
	}
	var exit *ssh.ExitError
	if errors.As(h.how, &exit) && !exit.Missing {
		err = fmt.Errorf("%w: %w", err, exit)
	}
	if said := h.stderr.text(); said != "" {
		err = fmt.Errorf("%w (it said: %s)", err, said)
	}
	return err
}

type counting struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.tell != nil && n > 0 {
		c.tell(c.n)
	}
	return n, err
}

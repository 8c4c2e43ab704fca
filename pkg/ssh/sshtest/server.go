// Package sshtest is an SSH server inside the test process: real protocol, no
// sshd, cheap enough for hundreds of hosts. It runs what a handler says, serves
// files below a directory, and breaks in the ways that real hosts break.
package sshtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	cssh "golang.org/x/crypto/ssh"
)

// Handler runs one command and gives its exit code. ctx ends when the session
// or the connection does. A negative code -n ends it by signal number n (9 or
// 15).
type Handler func(ctx context.Context, cmd string, stdin io.Reader, stdout, stderr io.Writer) (exit int)

// Options describe a server.
type Options struct {
	// Accept are the public keys that may sign in, as in authorized_keys. The
	// special value Anybody accepts every key.
	Accept   []string
	Handler  Handler // nil refuses exec
	Root     string  // directory that SFTP serves as "/"; empty turns SFTP off
	HostKey  *Key    // nil makes a new one
	HostCert string  // a certificate of HostKey, which is then shown instead
	Listener net.Listener
	Faults   Faults
	// Routes say where tunnels to an address (host:port) lead really; others lead
	// where they say.
	Routes map[string]string
}

// Anybody in [Options.Accept] accepts every key.
const Anybody = "*"

// Stats counts what a server has seen.
type Stats struct {
	Connections int64 // TCP connections
	SignIns     int64 // successful ones
	Sessions    int64 // session channels
	Execs       int64
	SFTP        int64 // SFTP sessions
	Tunnels     int64 // direct-tcpip channels
	// GlobalRequests are requests outside channels, as keep-alives are.
	GlobalRequests int64
	MaxOpening     int64 // most connections at once that had not signed in yet
}

// Server is one SSH server. It starts with [Start] or [New].
type Server struct {
	opts     Options
	listener net.Listener // nil for one that serves given connections only
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	connections, signIns, sessions, execs, sftps, tunnels, opening, maxOpening, globals atomic.Int64

	mu     sync.Mutex
	closed bool
	faults Faults
	host   *Key
	conns  map[net.Conn]struct{}
}

// New starts a server on 127.0.0.1 that lives as long as the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatalf("starting an SSH server: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Start starts a server on o.Listener, else on a free port of 127.0.0.1.
func Start(o Options) (*Server, error) {
	if o.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		o.Listener = l
	}
	s, err := Detached(o)
	if err != nil {
		o.Listener.Close()
		return nil, err
	}
	s.listener = o.Listener
	s.wg.Go(s.accept)
	return s, nil
}

// Detached makes a server without a listener, for [Server.Serve].
func Detached(o Options) (*Server, error) {
	if o.HostKey == nil {
		k, err := NewKey()
		if err != nil {
			return nil, err
		}
		o.HostKey = k
	}
	s := &Server{opts: o, faults: o.Faults, host: o.HostKey, conns: map[net.Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Addr is host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Port is the port of Addr.
func (s *Server) Port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// HostKey is the public host key, "ssh-ed25519 AAAA...".
func (s *Server) HostKey() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host.Public
}

// SetHostKey makes the server show another host key from now on.
func (s *Server) SetHostKey(k *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = k
}

// SetFaults replaces the faults, for connections and channels to come.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

func (s *Server) now() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// Stats counts what happened so far.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.connections.Load(), SignIns: s.signIns.Load(), Sessions: s.sessions.Load(), Execs: s.execs.Load(),
		SFTP: s.sftps.Load(), Tunnels: s.tunnels.Load(), MaxOpening: s.maxOpening.Load(), GlobalRequests: s.globals.Load(),
	}
}

// Cut breaks every open connection, as a reboot does.
func (s *Server) Cut() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		reset(c)
	}
}

// Close stops the server and waits for all it started.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	if s.listener != nil {
		s.listener.Close()
	}
	s.Cut()
	s.wg.Wait()
	return nil
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.Serve(c)
	}
}

// Serve serves one given connection in the background.
func (s *Server) Serve(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return
	}
	s.connections.Add(1)
	s.conns[c] = struct{}{}
	f, host := s.faults, s.host
	s.wg.Go(func() {
		defer func() {
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
		s.converse(c, f, host)
	})
}

func (s *Server) converse(c net.Conn, f Faults, host *Key) {
	opening := s.opening.Add(1)
	for m := s.maxOpening.Load(); opening > m && !s.maxOpening.CompareAndSwap(m, opening); m = s.maxOpening.Load() {
	}
	if f.Silent {
		_, _ = io.WriteString(c, "SSH-2.0-silent\r\n")
		_, _ = io.Copy(io.Discard, c)
		s.opening.Add(-1)
		return
	}
	config, err := s.config(f, host)
	if err != nil {
		s.opening.Add(-1)
		return
	}
	line := newFaulty(s.ctx, c, f)
	if line.late != nil {
		s.wg.Go(func() { line.late.run(s.ctx) }) // ends with c; the caller is counted
	}
	conn, chans, reqs, err := cssh.NewServerConn(line, config)
	s.opening.Add(-1)
	if err != nil {
		return
	}
	s.signIns.Add(1)
	defer conn.Close()
	if f.HangAfterAuth {
		_ = conn.Wait() // nobody serves its channels and requests
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for r := range reqs {
			s.globals.Add(1)
			if r.WantReply {
				_ = r.Reply(false, nil)
			}
		}
	})
	var open atomic.Int64
	for nc := range chans {
		f := s.now()
		switch nc.ChannelType() {
		case "session":
			if f.MaxSessions > 0 && open.Load() >= int64(f.MaxSessions) {
				_ = nc.Reject(cssh.ResourceShortage, "too many sessions")
				continue
			}
			open.Add(1)
			s.sessions.Add(1)
			wg.Go(func() {
				defer open.Add(-1)
				s.session(ctx, nc)
			})
		case "direct-tcpip":
			s.tunnels.Add(1)
			wg.Go(func() { tunnel(ctx, nc, f, s.opts.Routes) })
		default:
			_ = nc.Reject(cssh.UnknownChannelType, nc.ChannelType())
		}
	}
}

func (s *Server) config(f Faults, host *Key) (*cssh.ServerConfig, error) {
	config := &cssh.ServerConfig{
		MaxAuthTries: 6,
		PublicKeyCallback: func(_ cssh.ConnMetadata, key cssh.PublicKey) (*cssh.Permissions, error) {
			if f.RefuseAuth {
				return nil, errors.New("refused")
			}
			line := authorized(key)
			if slices.Contains(s.opts.Accept, Anybody) || slices.ContainsFunc(s.opts.Accept, func(a string) bool { return same(a, line) }) {
				return nil, nil
			}
			return nil, fmt.Errorf("unknown key %s", line)
		},
	}
	if f.Banner != "" {
		config.BannerCallback = func(cssh.ConnMetadata) string { return f.Banner }
	}
	signer := host.signer
	if s.opts.HostCert != "" {
		public, _, _, _, err := cssh.ParseAuthorizedKey([]byte(s.opts.HostCert))
		if err != nil {
			return nil, err
		}
		cert, ok := public.(*cssh.Certificate)
		if !ok {
			return nil, errors.New("HostCert is not a certificate")
		}
		if signer, err = cssh.NewCertSigner(cert, signer); err != nil {
			return nil, err
		}
	}
	config.AddHostKey(signer)
	for _, k := range f.MoreHostKeys {
		config.AddHostKey(k.signer)
	}
	return config, nil
}

// Shell is a handler that runs commands with /bin/sh in dir, on the machine
// that tests run on, with more in their environment.
func Shell(dir string, env ...string) Handler {
	return func(ctx context.Context, cmd string, stdin io.Reader, stdout, stderr io.Writer) int {
		return shell(ctx, dir, append(os.Environ(), env...), cmd, stdin, stdout, stderr)
	}
}

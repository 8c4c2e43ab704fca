// Package agent is the host's side of kforge: it answers requests on one
// stream until that stream ends. It changes nothing but by applying resources,
// and nothing at all in read-only mode or without the host lock.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"kforge.dev/kforge/pkg/agent/netprobe"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/facts/collect"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/resource/durable"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/wire"
)

// Options of a serving agent.
type Options struct {
	Root   string // "" means "/"; tests serve a temporary directory
	Mode   wire.Mode
	Runner resource.Runner // nil means resource.Exec
	Digest string          // "sha256:..." of the agent's executable
	Now    func() time.Time
	Uptime func() time.Duration // CLOCK_MONOTONIC
	Euid   func() int           // nil means os.Geteuid
	// Facts reads what the host is; nil means collect.Collect.
	Facts func(ctx context.Context, root string) (*facts.Host, error)
	// Free gives the bytes that are free below a directory; nil asks the kernel.
	Free func(dir string) (uint64, error)
	// Sync measures the disk under a directory; nil means netprobe.Sync.
	Sync func(ctx context.Context, s wire.Sync) (*facts.SyncTimes, error)
	// Resolver answers for the host's own; nil means that of the host.
	Resolver *net.Resolver
	// Seen is told of each request before it is answered; nil means nobody. While
	// it takes its time, nothing is answered.
	Seen func(context.Context, wire.Header)
	// DeadAfter is how long a client that pings may be silent; 0 means
	// wire.DeadAfter.
	DeadAfter time.Duration
	// Log takes what is wrong with the agent itself; nil means nobody.
	Log io.Writer
}

// errEOF is the cause of cancellation when the client's stream has ended.
var errEOF = diag.New(diag.Canceled, "", "the client is gone")

// errDead is the cause when the client promised to ping and fell silent.
var errDead = diag.New(diag.Transport, "", "the client fell silent")

// errCancel is the cause of cancellation when the client asked for it.
var errCancel = diag.New(diag.Canceled, "", "cancelled by the client")

// server is one serving agent.
type server struct {
	Options
	w       *wire.Writer
	blobs   store
	journal *journal
	apply   chan struct{} // holds one token: applies go one at a time,
	imports chan struct{} // and so do those that only import images
	later   *durable.Queue
	images  resource.ImageList
	leaving atomic.Bool // the host was cleaned: nothing of ours stays on it

	mu     sync.Mutex
	lock   *os.File
	holder wire.Lock // what lock says
	calls  map[uint64]*call
}

// call is a request in flight.
type call struct {
	cancel context.CancelCauseFunc
	data   chan []byte // of a put; nil for others
	ctx    context.Context
}

// Serve speaks first on out and then answers the requests that come on in. It
// returns when in ends (nil), when ctx ends, or when the stream is broken; by
// then all requests are over and their children are gone. It closes in when
// ctx ends, if in can be closed.
func Serve(ctx context.Context, o Options, in io.Reader, out io.Writer) error {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Runner == nil {
		o.Runner = resource.Exec{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Uptime == nil {
		o.Uptime = resource.Uptime
	}
	if o.Euid == nil {
		o.Euid = os.Geteuid
	}
	if o.Facts == nil {
		o.Facts = collect.Collect
	}
	if o.Free == nil {
		o.Free = free
	}
	if o.Sync == nil {
		o.Sync = func(ctx context.Context, s wire.Sync) (*facts.SyncTimes, error) {
			return netprobe.Sync(ctx, s, o.Root, record.StateDir)
		}
	}
	if o.Seen == nil {
		o.Seen = func(context.Context, wire.Header) {}
	}
	if o.DeadAfter == 0 {
		o.DeadAfter = wire.DeadAfter
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	s := &server{
		Options: o, w: wire.NewWriter(out), blobs: newStore(o.Root, o.Free), journal: newJournal(o.Root, o.Now),
		apply: make(chan struct{}, 1), imports: make(chan struct{}, 1), calls: map[uint64]*call{}, later: durable.New(),
	}
	if err := s.w.Mark(wire.AgentMark); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	hello := wire.Hello{Agent: o.Digest, Euid: o.Euid(), Mode: o.Mode, PID: os.Getpid()}
	if o.Mode == wire.ReadWrite && hello.Euid != 0 && o.Root == "/" {
		hello.Error = diag.New(diag.Sudo, "start agent", "root rights are needed to change a host")
	}
	if err := s.w.Write(wire.Header{Type: wire.THello, Hello: &hello}, nil); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if hello.Error != nil {
		return hello.Error
	}
	return s.run(ctx, in)
}

// run reads until the end and then ends everything.
func (s *server) run(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var requests sync.WaitGroup
	defer func() {
		cancel(errEOF)
		s.ending()
		requests.Wait()
		if err := s.later.Wait(); err != nil {
			fmt.Fprintln(s.Log, "kforge-agent:", err)
		}
		if s.leaving.Load() {
			// With this program in it: the kernel keeps it until it ends.
			if err := resource.RemoveTree(context.WithoutCancel(ctx), filepath.Join(s.Root, record.StateDir)); err != nil {
				fmt.Fprintln(s.Log, "kforge-agent:", err)
			}
		}
		unlock(s.lock)
	}()
	read := make(chan error, 1)
	go func() { read <- s.read(ctx, cancel, &requests, in) }()
	select {
	case err := <-read:
		return err
	case <-ctx.Done():
	}
	// A reader that cannot be closed (a terminal) is left to the process's end.
	if c, ok := in.(io.Closer); ok {
		c.Close()
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-read:
	case <-t.C:
	}
	return context.Cause(ctx)
}

func (s *server) read(ctx context.Context, cancel context.CancelCauseFunc, requests *sync.WaitGroup, in io.Reader) error {
	r := wire.NewReader(in)
	if _, err := r.SkipTo(wire.ClientMark, wire.MaxNoise); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("waiting for client: %w", err)
	}
	dead := time.AfterFunc(s.DeadAfter, func() { cancel(errDead) })
	dead.Stop()
	pinged := false
	for {
		// Only the wait for the client counts, not our own disk's slowness.
		if pinged {
			dead.Reset(s.DeadAfter)
		}
		h, raw, err := r.Read()
		dead.Stop()
		pinged = pinged || h.Type == wire.TPing
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading request: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch h.Type {
		case wire.TCancel:
			s.cancel(h.ID)
		case wire.TData:
			s.data(h.ID, raw)
		default:
			s.begin(ctx, requests, h)
		}
	}
}

func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[id]; c != nil {
		c.cancel(errCancel)
	}
}

// data hands bytes to a put. It waits for the disk, which slows the client
// down; bytes of a put that is over are thrown away.
func (s *server) data(id uint64, raw []byte) {
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	if c == nil || c.data == nil {
		return
	}
	select {
	case c.data <- raw:
	case <-c.ctx.Done():
	}
}

// begin answers a request in a goroutine of its own.
func (s *server) begin(ctx context.Context, requests *sync.WaitGroup, h wire.Header) {
	cctx, cancel := context.WithCancelCause(ctx)
	c := &call{cancel: cancel, ctx: cctx}
	if h.Type == wire.TPut {
		c.data = make(chan []byte, 8)
	}
	s.mu.Lock()
	_, twice := s.calls[h.ID]
	if !twice {
		s.calls[h.ID] = c
	}
	s.mu.Unlock()
	if twice {
		cancel(nil)
		s.reply(h.ID, nil, diag.New(diag.Internal, "begin request", "id %d is in use", h.ID))
		return
	}
	s.Seen(cctx, h)
	requests.Go(func() {
		rep, err := s.answer(cctx, h, c)
		s.mu.Lock()
		delete(s.calls, h.ID)
		s.mu.Unlock()
		cancel(nil)
		s.reply(h.ID, rep, err)
	})
}

func (s *server) reply(id uint64, rep *wire.Reply, err error) {
	if rep == nil {
		rep = &wire.Reply{}
	}
	if err != nil {
		rep.Error = diag.From(err)
	}
	if werr := s.w.Write(wire.Header{ID: id, Type: wire.TReply, Reply: rep}, nil); werr == nil {
		return
	} else if diag.KindOf(werr) == diag.Internal { // too large to send: say so instead
		_ = s.w.Write(wire.Header{ID: id, Type: wire.TReply, Reply: &wire.Reply{Error: diag.From(werr)}}, nil)
	} else {
		fmt.Fprintf(s.Log, "kforge-agent: writing reply: %v\n", werr)
	}
}

// answer does what a request asks. A defect ends the request, not the agent.
func (s *server) answer(ctx context.Context, h wire.Header, c *call) (rep *wire.Reply, err error) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(s.Log, "kforge-agent: %s: %v\n%s", h.Type, p, debug.Stack())
			err = diag.New(diag.Internal, string(h.Type), "%v", p)
		}
	}()
	if h.Type.Mutating() {
		if err := s.mayChange(h.Type); err != nil {
			return nil, err
		}
	}
	switch {
	case h.Type == wire.TPing:
		return nil, nil
	case h.Type == wire.TFacts:
		return s.facts(ctx)
	case h.Type == wire.TPlan && h.Plan != nil:
		return s.plan(ctx, *h.Plan)
	case h.Type == wire.THas && h.Has != nil:
		return s.has(*h.Has)
	case h.Type == wire.TRead && h.Read != nil:
		return s.readFile(*h.Read)
	case h.Type == wire.TProbe && h.Probe != nil:
		return s.probe(ctx, h.ID, *h.Probe)
	case h.Type == wire.TLock && h.Lock != nil:
		return nil, s.takeLock(ctx, *h.Lock)
	case h.Type == wire.TApply && h.Apply != nil:
		return s.applyAll(ctx, h.ID, *h.Apply)
	case h.Type == wire.TPut && h.Put != nil:
		return nil, s.put(ctx, *h.Put, c)
	}
	return nil, diag.New(diag.Internal, "begin request", "%q is no request, or its payload is missing", h.Type)
}

// mayChange is the gate before every mutating request.
func (s *server) mayChange(t wire.Type) error {
	if s.Mode != wire.ReadWrite {
		return diag.New(diag.ReadOnly, string(t), "this agent was started read-only and changes nothing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != wire.TLock && s.lock == nil {
		return diag.New(diag.Locked, string(t), "the host lock was not taken")
	}
	return nil
}

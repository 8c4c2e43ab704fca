package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// client speaks the wire protocol with one running agent. Requests may run side
// by side; one goroutine reads.
type client struct {
	w   *wire.Writer
	end func() // ends the stream for good: no write blocks any more

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan *frame
	err     error // why the stream ended, once it has
	ended   chan struct{}
	quiet   chan struct{}  // closed to end the pings
	pings   sync.WaitGroup // the goroutine that sends them

	mutating atomic.Int64 // requests sent that may change what the host holds
}

type frame struct {
	wire.Header
	raw []byte
}

func newClient(w *wire.Writer, r *wire.Reader, end func()) *client {
	c := &client{w: w, end: end, waiting: map[uint64]chan *frame{}, ended: make(chan struct{}), quiet: make(chan struct{})}
	go c.read(r)
	c.pings.Go(c.ping)
	return c
}

// hush ends the pings; nothing more is written by this side's own will.
func (c *client) hush() {
	close(c.quiet)
	c.pings.Wait()
}

// ping tells the agent now and then that we are alive, so that it gives the
// host's lock back when this machine dies without a word. It ends with the
// stream.
func (c *client) ping() {
	tick := time.NewTicker(wire.PingEvery)
	defer tick.Stop()
	for {
		// Id 0 is no request's: the reply is passed over.
		if err := c.w.Write(wire.Header{Type: wire.TPing}, nil); err != nil {
			return // the reader tells why
		}
		select {
		case <-tick.C:
		case <-c.quiet:
			return
		case <-c.ended:
			return
		}
	}
}

// read hands frames to their requests until the stream ends, then fails all.
func (c *client) read(r *wire.Reader) {
	defer close(c.ended)
	for {
		h, raw, err := r.Read()
		if err != nil {
			c.fail(err)
			return
		}
		c.mu.Lock()
		ch := c.waiting[h.ID]
		c.mu.Unlock()
		if ch == nil {
			continue // the request was given up
		}
		ch <- &frame{h, raw}
	}
}

func (c *client) fail(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = diag.New(diag.Transport, "talk to agent", "the agent went away").
			WithHint("run the same command again: it goes on from what it finds")
	}
	c.mu.Lock()
	c.err = err
	waiting := c.waiting
	c.waiting = map[uint64]chan *frame{}
	c.mu.Unlock()
	for _, ch := range waiting {
		close(ch)
	}
}

// broken gives why no further request can be sent, nil while all is well.
func (c *client) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *client) open() (uint64, chan *frame, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, nil, c.err
	}
	c.next++
	// Events are rare and consumed at once; the room keeps the reader from
	// waiting for a slow sink. Of pointers, since thousands of requests may be
	// open: frames themselves would take 60 KB each time.
	ch := make(chan *frame, 256)
	c.waiting[c.next] = ch
	return c.next, ch, nil
}

func (c *client) close(id uint64) {
	c.mu.Lock()
	ch := c.waiting[id]
	delete(c.waiting, id)
	c.mu.Unlock()
	if ch == nil {
		return
	}
	for { // the reader may have one in hand
		select {
		case <-ch:
		default:
			return
		}
	}
}

// call sends a request, with an optional body in chunks, and waits for its
// reply. Cancelling ctx cancels the request on the host and still waits a short
// time for its reply, so that what the host did is known.
func (c *client) call(ctx context.Context, h wire.Header, body io.Reader, onEvent func(wire.Event)) (*wire.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, ch, err := c.open()
	if err != nil {
		return nil, err
	}
	defer c.close(id)
	h.ID = id
	if h.Type.Mutating() && h.Type != wire.TLock { // the lock changes nothing that outlives the agent
		c.mutating.Add(1)
	}
	if err := c.write(ctx, h, body); err != nil {
		return nil, err
	}
	done := ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case f, ok := <-ch:
			if !ok {
				return nil, c.broken()
			}
			switch {
			case f.Type == wire.TReply && f.Reply != nil:
				switch {
				case f.Reply.Error == nil:
				case ctx.Err() != nil && f.Reply.Error.Kind == diag.Canceled:
					return f.Reply, context.Cause(ctx) // who cancelled knows why
				default:
					return f.Reply, f.Reply.Error
				}
				return f.Reply, nil
			case f.Type == wire.TEvent && f.Event != nil:
				if onEvent != nil {
					onEvent(*f.Event)
				}
			default:
				return nil, diag.New(diag.Internal, "talk to agent", "unexpected %s frame in a reply", f.Type)
			}
		case <-done:
			done = nil
			if err := c.write(ctx, wire.Header{ID: id, Type: wire.TCancel}, nil); err != nil {
				return nil, context.Cause(ctx)
			}
			t := time.NewTimer(cancelGrace)
			defer t.Stop()
			grace = t.C
		case <-grace:
			return nil, fmt.Errorf("host did not answer the cancellation: %w", context.Cause(ctx))
		}
	}
}

// cancelGrace is how long a host may take to stop a cancelled request: the
// agent gives children 5 s after SIGTERM before it kills them.
const cancelGrace = 7 * time.Second

// write sends a request and its body. A host that takes nothing any more keeps
// a write waiting, and every other request behind it: when that lasts beyond
// ctx, the stream is ended.
func (c *client) write(ctx context.Context, h wire.Header, body io.Reader) error {
	written := make(chan struct{})
	defer close(written)
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(cancelGrace)
		defer t.Stop()
		select {
		case <-t.C:
			c.end()
		case <-written:
		}
	})
	defer stop()
	err := c.w.Write(h, nil)
	if err != nil {
		err = c.sendError(err)
	} else if body != nil {
		err = c.send(ctx, h.ID, body)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (c *client) send(ctx context.Context, id uint64, body io.Reader) error {
	buf := make([]byte, wire.ChunkSize)
	for {
		if err := ctx.Err(); err != nil {
			c.w.Write(wire.Header{ID: id, Type: wire.TCancel}, nil) // best effort: the stream may be gone
			return err
		}
		n, err := io.ReadFull(body, buf)
		if n > 0 {
			if err := c.w.Write(wire.Header{ID: id, Type: wire.TData}, buf[:n]); err != nil {
				return c.sendError(err)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		default:
			return fmt.Errorf("reading what to send: %w", err)
		}
		if err := c.broken(); err != nil {
			return err
		}
	}
}

// sendError prefers the reader's word on why the stream ended.
func (c *client) sendError(err error) error {
	select {
	case <-c.ended:
		if b := c.broken(); b != nil {
			return b
		}
	case <-time.After(time.Second):
	}
	return diag.Wrap(diag.Transport, "send to agent", err)
}

func (c *client) facts(ctx context.Context) (*facts.Host, error) {
	sent := time.Now()
	r, err := c.call(ctx, wire.Header{Type: wire.TFacts}, nil, nil)
	if err != nil {
		return nil, err
	}
	if r.Facts == nil {
		return nil, diag.New(diag.Internal, "read facts", "the agent's reply holds none")
	}
	// The host's clock was read somewhere between sent and now: taking the
	// middle bounds the error by half the round trip.
	got := time.Now()
	trip := got.Sub(sent)
	middle := sent.Add(trip / 2)
	r.Facts.Time.OffsetSeconds = r.Facts.Time.Unix - float64(middle.UnixNano())/1e9
	r.Facts.Time.RoundTripSeconds = max(0, trip.Seconds()-r.Facts.Time.TookSeconds)
	return r.Facts, nil
}

package agent_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client is the other end of an agent's streams.
type client struct {
	t      *testing.T
	w      *wire.Writer
	r      *wire.Reader
	in     io.Closer
	hello  wire.Hello
	events []wire.Event
	early  map[uint64]*wire.Reply
	done   chan error // what Serve returned
	id     uint64
}

// connect reads the greeting and answers it.
func connect(t *testing.T, in io.WriteCloser, out io.Reader) *client {
	t.Helper()
	c := &client{t: t, w: wire.NewWriter(in), r: wire.NewReader(out), in: in, done: make(chan error, 1)}
	if _, err := c.r.SkipTo(wire.AgentMark, wire.MaxNoise); err != nil {
		t.Fatalf("waiting for the agent's mark: %v", err)
	}
	h, _, err := c.r.Read()
	if err != nil || h.Type != wire.THello {
		t.Fatalf("hello = %+v, %v", h, err)
	}
	c.hello = *h.Hello
	// What sudo did not want must do no harm.
	if _, err := io.WriteString(in, "a password\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.w.Mark(wire.ClientMark); err != nil {
		t.Fatal(err)
	}
	return c
}

// start serves a fake host in this process.
func start(t *testing.T, ctx context.Context, h *resourcetest.Host, mode wire.Mode, runner resource.Runner) *client {
	t.Helper()
	return startWith(t, ctx, agent.Options{Root: h.Root, Mode: mode, Runner: runner, Digest: "sha256:x", Uptime: h.Uptime})
}

func startWith(t *testing.T, ctx context.Context, o agent.Options) *client {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := agent.Serve(ctx, o, inR, outW)
		outW.Close()
		done <- err
	}()
	c := connect(t, inW, outR)
	c.done = done
	t.Cleanup(func() {
		inW.Close()
		io.Copy(io.Discard, outR)
	})
	return c
}

func newHost(t *testing.T) *resourcetest.Host {
	t.Helper()
	h, err := resourcetest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// send begins a request.
func (c *client) send(h wire.Header) uint64 {
	c.t.Helper()
	c.id++
	h.ID = c.id
	if err := c.w.Write(h, nil); err != nil {
		c.t.Fatal(err)
	}
	return h.ID
}

// reply waits for the reply to a request.
func (c *client) reply(id uint64) *wire.Reply {
	c.t.Helper()
	for {
		// Requests may be answered out of order.
		if r := c.early[id]; r != nil {
			return r
		}
		h, _, err := c.r.Read()
		if err != nil {
			c.t.Fatalf("waiting for reply %d: %v", id, err)
		}
		if h.Type == wire.TEvent {
			c.events = append(c.events, *h.Event)
		}
		if h.Type == wire.TReply {
			if c.early == nil {
				c.early = map[uint64]*wire.Reply{}
			}
			c.early[h.ID] = h.Reply
		}
	}
}

// event waits for the next event.
func (c *client) event() wire.Event {
	c.t.Helper()
	h, _, err := c.r.Read()
	if err != nil || h.Type != wire.TEvent {
		c.t.Fatalf("got %+v, %v, want an event", h, err)
	}
	return *h.Event
}

func (c *client) call(h wire.Header) *wire.Reply {
	c.t.Helper()
	return c.reply(c.send(h))
}

func (c *client) must(h wire.Header) *wire.Reply {
	c.t.Helper()
	rep := c.call(h)
	if rep.Error != nil {
		c.t.Fatalf("%s = %v", h.Type, rep.Error)
	}
	return rep
}

func (c *client) wantKind(rep *wire.Reply, kind diag.Kind) {
	c.t.Helper()
	if rep.Error == nil || rep.Error.Kind != kind {
		c.t.Fatalf("reply error = %v, want one of kind %s", rep.Error, kind)
	}
}

func (c *client) lock() *wire.Reply {
	c.t.Helper()
	return c.call(wire.Header{Type: wire.TLock, Lock: &wire.Lock{User: "ann", Machine: "desk", PID: 42, Command: "kforge apply", Since: "2026-01-01T00:00:00Z"}})
}

// put sends a blob.
func (c *client) put(content []byte, digest string, size int64) *wire.Reply {
	c.t.Helper()
	id := c.send(wire.Header{Type: wire.TPut, Put: &wire.Put{Digest: digest, Size: size, Name: "blob"}})
	for len(content) > 0 {
		n := min(len(content), wire.ChunkSize)
		if err := c.w.Write(wire.Header{ID: id, Type: wire.TData}, content[:n]); err != nil {
			c.t.Fatal(err)
		}
		content = content[n:]
	}
	return c.reply(id)
}

// end closes the stream and gives what Serve returned.
func (c *client) end() error {
	c.t.Helper()
	c.in.Close()
	return c.wait()
}

func (c *client) wait() error {
	c.t.Helper()
	for { // the agent must never be held up by a client that does not read
		if _, _, err := c.r.Read(); err != nil {
			break
		}
	}
	select {
	case err := <-c.done:
		return err
	case <-time.After(10 * time.Second):
		c.t.Fatal("the agent did not end")
		return nil
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

func (s *server) env() *resource.Env {
	return &resource.Env{Root: s.Root, Runner: s.Runner, Blobs: s.blobs, Now: s.Now, Uptime: s.Uptime, Later: s.later, Images: &s.images}
}

func (s *server) facts(ctx context.Context) (*wire.Reply, error) {
	h, err := s.Facts(ctx, s.Root)
	if err != nil {
		return nil, err
	}
	return &wire.Reply{Facts: h}, nil
}

func (s *server) plan(ctx context.Context, p wire.Plan) (*wire.Reply, error) {
	changes, err := resource.Plan(ctx, s.env(), p.Resources)
	return &wire.Reply{Changes: changes}, err
}

func (s *server) has(h wire.Has) (*wire.Reply, error) {
	rep := &wire.Reply{}
	for _, d := range h.Digests {
		there, err := s.blobs.has(d)
		if err != nil {
			return nil, err
		}
		if !there {
			rep.Missing = append(rep.Missing, d)
		}
	}
	return rep, nil
}

func (s *server) readFile(r wire.Read) (*wire.Reply, error) {
	op := "read " + r.Path
	if !filepath.IsAbs(r.Path) {
		return nil, diag.New(diag.Invalid, op, "the path is not absolute")
	}
	path := filepath.Join(s.Root, r.Path)
	// Looked at before it is opened: opening a fifo would wait for ever.
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, diag.Wrap(diag.NotFound, op, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, diag.Wrap(diag.Permission, op, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", op, err)
	case !fi.Mode().IsRegular():
		return nil, diag.New(diag.Unsupported, op, "no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, min(max(r.Max, 0), wire.MaxRead)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return &wire.Reply{Content: content}, nil
}

// takeLock takes the host lock and then tidies up what earlier agents left.
func (s *server) takeLock(ctx context.Context, l wire.Lock) error {
	s.mu.Lock()
	held := s.lock != nil
	s.mu.Unlock()
	if held {
		return nil
	}
	f, err := waitLock(ctx, s.Root, l)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.lock = f
	s.holder = l
	s.mu.Unlock()
	if err := s.blobs.sweep(s.Now(), s.Now().Add(-s.Uptime())); err != nil {
		return fmt.Errorf("sweeping blob store: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(s.Root, resource.InputDir)); err != nil {
		return fmt.Errorf("sweeping inputs: %w", err)
	}
	return nil
}

// onlyImages tells of an apply that touches nothing but containerd's images. It
// may go on beside another apply: while kubeadm init waits for the control plane
// to come up, the images that come next are imported.
func onlyImages(rs []spec.Resource) bool {
	for _, r := range rs {
		if r.Image == nil {
			return false
		}
	}
	return len(rs) > 0
}

// applyAll waits for its turn and applies, telling of everything as it happens.
func (s *server) applyAll(ctx context.Context, id uint64, a wire.Apply) (*wire.Reply, error) {
	turn := s.apply
	if onlyImages(a.Resources) {
		turn = s.imports
	}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	env := s.env()
	env.Run = a.Run
	send := func(e wire.Event) {
		// A stream that is broken ends the requests by itself.
		_ = s.w.Write(wire.Header{ID: id, Type: wire.TEvent, Event: &e}, nil)
	}
	note := func(c spec.Change, failure error) {
		if err := s.journal.add(a.Run, a.Version, c, failure); err != nil {
			send(wire.Event{Resource: c.Resource, Warning: err.Error()})
		}
	}
	env.Failed = note
	made, err := resource.Apply(ctx, env, a.Resources, func(e resource.Event) {
		if e.Change != nil {
			note(*e.Change, nil)
		}
		send(wire.Event{Resource: e.Resource, Change: e.Change, Warning: e.Warning, Output: e.Output, Done: e.Done, Total: e.Total})
	})
	// Whatever else is applied afterwards makes the host ours again.
	s.leaving.Store(err == nil && slices.ContainsFunc(a.Resources, func(r spec.Resource) bool { return r.Owned != nil }))
	return &wire.Reply{Changes: made}, err
}

// put stores a blob from the data frames of its request.
func (s *server) put(ctx context.Context, p wire.Put, c *call) error {
	if p.Size < 0 {
		return diag.New(diag.Invalid, "store "+p.Name, "size %d", p.Size)
	}
	there, err := s.blobs.has(p.Digest)
	if err != nil || there {
		return err
	}
	return s.blobs.put(p.Digest, p.Size, p.Name, &frames{ctx: ctx, in: c.data, left: p.Size})
}

// frames reads the bytes of data frames, up to the size that was announced.
type frames struct {
	ctx  context.Context
	in   <-chan []byte
	buf  []byte
	left int64
}

func (f *frames) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, io.EOF
	}
	for len(f.buf) == 0 {
		select {
		case f.buf = <-f.in:
		case <-f.ctx.Done():
			return 0, context.Cause(f.ctx)
		}
	}
	if int64(len(f.buf)) > f.left {
		return 0, diag.New(diag.Transport, "read data", "more bytes came than were announced")
	}
	n := copy(p, f.buf)
	f.buf = f.buf[n:]
	f.left -= int64(n)
	return n, nil
}

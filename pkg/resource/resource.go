// Package resource brings a host from what it is to what it should be: each
// kind of spec.Resource is observed, compared and applied. Plan only looks;
// Apply observes each resource right before it acts and once more afterwards.
// All paths lie under Env.Root, and all programs run through Env.Runner.
package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/durable"
	"kforge.dev/kforge/pkg/spec"
)

// Blobs is the store of content that came apart from its resource.
type Blobs interface {
	// Open gives the blob's verified content; an error of kind not-found when
	// it is not there.
	Open(digest string) (*os.File, error)
	// Remove forgets a blob that is used up. A missing one is no error.
	Remove(digest string) error
}

// Env is the host that resources work on.
type Env struct {
	Root   string // "/" in production
	Runner Runner
	Blobs  Blobs
	Run    string // id of the run, for records
	// Later makes what was written durable behind the work; the owner of the
	// queue waits for it before the run ends. nil makes every write wait.
	Later *durable.Queue
	// Images remembers containerd's images between the requests of one agent,
	// which holds the host's lock; nil asks anew each time.
	Images *ImageList
	Kernel Kernel                              // nil means the host's own, see Kernel
	Now    func() time.Time                    // nil means time.Now
	Uptime func() time.Duration                // CLOCK_MONOTONIC; nil means the kernel's
	Failed func(change spec.Change, err error) // told of a change that was tried and failed; may be nil
}

// Event tells of progress. Resource is always set, and at most one of the
// others; with none of them, work on the resource begins.
type Event struct {
	Resource    string
	Change      *spec.Change // was made
	Warning     string
	Output      string // a line printed by a command
	Done, Total int64  // bytes
}

// Sink takes events, from one goroutine at a time. It must not block for long.
type Sink func(Event)

// kind is one kind of resource, ready to be looked at.
type kind interface {
	// observe looks at the host and never changes it.
	observe(ctx context.Context, s *session) (observed, error)
}

// observed is what a resource is and should be.
type observed interface {
	// diff compares; it does no I/O.
	diff(s *session) ([]spec.Change, error)
	// apply makes all changes that diff named.
	apply(ctx context.Context, s *session) error
}

// Plan gives the changes that Apply would make now. It writes nothing. A later
// resource may depend on an earlier one; what cannot be known before that one
// is applied is predicted. All resources are looked at, and the error joins
// what is wrong with any of them.
func Plan(ctx context.Context, env *Env, rs []spec.Resource) ([]spec.Change, error) {
	s := newSession(env, rs, true, nil)
	if err := checkIDs(rs); err != nil {
		return nil, err
	}
	s.prefetchUnits(ctx, rs)
	var all []spec.Change
	var errs []error
	for _, r := range rs {
		if ctx.Err() != nil {
			return all, fmt.Errorf("planning: %w", context.Cause(ctx))
		}
		s.id = r.ID
		changes, _, err := s.look(ctx, r)
		if err != nil {
			errs = append(errs, wrap(r, err))
			continue
		}
		all = append(all, changes...)
		if len(changes) > 0 {
			s.predict(r, changes)
		}
	}
	return all, errors.Join(errs...)
}

// Apply brings the resources, in order, to what they should be. It gives the
// changes made, also when it ends early with an error.
func Apply(ctx context.Context, env *Env, rs []spec.Resource, sink Sink) ([]spec.Change, error) {
	s := newSession(env, rs, false, sink)
	if err := checkIDs(rs); err != nil {
		return nil, err
	}
	var made []spec.Change
	for i, r := range rs {
		if ctx.Err() != nil {
			return made, fmt.Errorf("applying: %w", context.Cause(ctx))
		}
		s.id = r.ID
		s.sink(Event{Resource: r.ID})
		changes, err := s.bring(ctx, r)
		made = append(made, changes...)
		if err != nil {
			return made, wrap(r, err)
		}
		s.used(r, rs[i+1:])
	}
	return made, nil
}

// look observes a resource and compares it.
func (s *session) look(ctx context.Context, r spec.Resource) ([]spec.Change, observed, error) {
	k, err := kindOf(r)
	if err != nil {
		return nil, nil, err
	}
	o, err := k.observe(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	changes, err := o.diff(s)
	for i := range changes {
		changes[i].Resource = r.ID
		if changes[i].Why == "" {
			changes[i].Why = r.Why
		}
	}
	return changes, o, err
}

// bring makes one resource what it should be and gives the changes made.
func (s *session) bring(ctx context.Context, r spec.Resource) ([]spec.Change, error) {
	changes, o, err := s.look(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		if a, ok := o.(adopter); ok {
			return nil, a.adopt(s)
		}
		return nil, nil
	}
	if err := o.apply(ctx, s); err != nil {
		if s.Failed != nil {
			s.Failed(changes[0], err)
		}
		return nil, err
	}
	s.units, s.images = nil, nil // whatever was cached may have changed
	left, _, err := s.look(ctx, r)
	if err == nil && len(left) > 0 {
		err = diag.New(diag.NotConverged, "check after apply", "still to do: %s", describe(left))
	}
	if err != nil {
		if s.Failed != nil {
			s.Failed(changes[0], err)
		}
		return nil, err
	}
	for i := range changes {
		s.sink(Event{Resource: r.ID, Change: &changes[i]})
	}
	return changes, nil
}

// adopter is an observed resource that is as it should be, and for which the
// agent's own records may need completing.
type adopter interface{ adopt(s *session) error }

// used removes the blob of a resource that is in place, unless a later resource
// of the request wants it too.
func (s *session) used(r spec.Resource, later []spec.Resource) {
	b := blobOf(r)
	if b == nil || s.Blobs == nil {
		return
	}
	for _, l := range later {
		if o := blobOf(l); o != nil && o.Digest == b.Digest {
			return
		}
	}
	if err := s.Blobs.Remove(b.Digest); err != nil {
		s.warn("removing used blob %s: %v", b.Name, err)
	}
}

func blobOf(r spec.Resource) *spec.Blob {
	switch {
	case r.File != nil:
		return r.File.Blob
	case r.Archive != nil:
		return &r.Archive.Blob
	case r.Image != nil:
		return &r.Image.Blob
	}
	return nil
}

func describe(changes []spec.Change) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, strings.TrimSpace(string(c.Action)+" "+c.Detail))
	}
	return strings.Join(parts, ", ")
}

// wrap names the resource, and gives system errors the kind a human can act on.
func wrap(r spec.Resource, err error) error {
	e := diag.Wrap(diag.Unknown, r.ID, err)
	if diag.KindOf(err) == diag.Unknown {
		switch {
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
			e.Kind = diag.NoSpace
			e.Hint = "free space on the file system of that path and apply again"
		case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
			e.Kind = diag.Permission
		case errors.Is(err, fs.ErrNotExist):
			e.Kind = diag.NotFound
		}
	}
	return e
}

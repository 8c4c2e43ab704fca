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
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
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
	Run    string                              // id of the run, for records
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

// session is one request: what it knows already and what it predicts.
type session struct {
	*Env
	records  record.Store
	planning bool
	sink     Sink
	id       string // resource in hand
	bootID   string

	will   map[string]bool // paths that earlier resources of a plan change
	loads  bool            // earlier resources of a plan load kernel modules
	units  map[string]unitStatus
	images map[string]string // name to digest, nil when not asked yet
}

func newSession(env *Env, rs []spec.Resource, planning bool, sink Sink) *session {
	e := *env
	if e.Root == "" {
		e.Root = "/"
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Uptime == nil {
		e.Uptime = uptime
	}
	if sink == nil {
		sink = func(Event) {}
	}
	s := &session{Env: &e, records: record.Store{Root: e.Root}, planning: planning, sink: sink, will: map[string]bool{}}
	if raw, err := os.ReadFile(s.path("/proc/sys/kernel/random/boot_id")); err == nil {
		s.bootID = strings.TrimSpace(string(raw))
	}
	return s
}

func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// path puts an absolute path of the host under the root.
func (s *session) path(p string) string { return filepath.Join(s.Root, p) }

func (s *session) exists(p string) bool {
	_, err := os.Stat(s.path(p))
	return err == nil
}

func (s *session) warn(format string, args ...any) {
	s.sink(Event{Resource: s.id, Warning: fmt.Sprintf(format, args...)})
}

// find looks for a program on SearchPath under the root; "" when it is missing.
func (s *session) find(name string) string {
	for _, dir := range append([]string{"/usr/local/bin"}, strings.Split(SearchPath, ":")...) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(s.path(p)); err == nil && fi.Mode().IsRegular() {
			return p
		}
	}
	return ""
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

// predict notes what a planned change of r means for the resources after it.
func (s *session) predict(r spec.Resource, changes []spec.Change) {
	switch {
	case r.File != nil:
		s.will[filepath.Clean(r.File.Path)] = true
	case r.Symlink != nil:
		s.will[filepath.Clean(r.Symlink.Path)] = true
	case r.Sysctl != nil:
		s.will[filepath.Clean(r.Sysctl.Path)] = true
	case r.Modules != nil:
		s.will[filepath.Clean(r.Modules.Path)] = true
		for _, c := range changes {
			s.loads = s.loads || c.Action == spec.Load
		}
	case r.Archive != nil:
		s.will[filepath.Clean(r.Archive.Dest)] = true
		for _, m := range r.Archive.Only {
			s.will[filepath.Join(r.Archive.Dest, m)] = true
		}
		if a, err := s.records.Archive(r.ID); err == nil && a != nil {
			for _, m := range a.Members {
				s.will[m.Path] = true
			}
		}
	}
}

// willChange reports whether an earlier resource of this plan changes path, or
// a file directly in it.
func (s *session) willChange(path string) bool {
	path = filepath.Clean(path)
	if s.will[path] {
		return true
	}
	for p := range s.will {
		if filepath.Dir(p) == path {
			return true
		}
	}
	return false
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

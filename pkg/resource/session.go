package resource

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// session is one request: what it knows already and what it predicts.
type session struct {
	*Env
	records  record.Store
	planning bool
	sink     Sink
	id       string // resource in hand
	bootID   string

	will   map[string]bool // paths that earlier resources of a plan change
	makes  []string        // paths that earlier commands of a plan make
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
		e.Uptime = Uptime
	}
	if e.Kernel == nil {
		e.Kernel = kernelOf(e.Root)
	}
	if sink == nil {
		sink = func(Event) {}
	}
	s := &session{Env: &e, records: record.Store{Root: e.Root, Later: e.Later}, planning: planning, sink: sink, will: map[string]bool{}}
	if raw, err := os.ReadFile(s.path("/proc/sys/kernel/random/boot_id")); err == nil {
		s.bootID = strings.TrimSpace(string(raw))
	}
	return s
}

// Uptime is CLOCK_MONOTONIC.
func Uptime() time.Duration {
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

// predict notes what a planned change of r means for the resources after it.
func (s *session) predict(r spec.Resource, changes []spec.Change) {
	switch {
	case r.File != nil:
		s.will[filepath.Clean(r.File.Path)] = true
	case r.Symlink != nil:
		s.will[filepath.Clean(r.Symlink.Path)] = true
	case r.Move != nil:
		s.will[filepath.Clean(r.Move.From)], s.will[filepath.Clean(r.Move.To)] = true, true
	case r.Command != nil:
		s.makes = append(s.makes, r.Command.Unless...)
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

// willMake reports whether an earlier command of this plan is run because path,
// or what is below it, is not there.
func (s *session) willMake(path string) bool {
	return slices.ContainsFunc(s.makes, func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") })
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

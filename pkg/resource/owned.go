package resource

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

type ownedKind struct{ want *spec.Owned }

// ownedState is what the records own and what is still there of it.
type ownedState struct {
	want    *spec.Owned
	files   []string // to be removed
	back    []string // are replaced by what was kept of them
	changed []string // were replaced by somebody else since: theirs
	dirs    []string // made by us, and empty then; deepest first
	records bool
}

func (k ownedKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &ownedState{want: k.want}
	paths, err := s.records.Paths()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(paths, func(a, b record.Path) int { return strings.Compare(a.Path, b.Path) })
	for _, rec := range paths {
		kept := s.existsItself(rec.Path + origSuffix)
		here, ours, err := stillOurs(ctx, s, rec)
		switch {
		case err != nil:
			return nil, err
		case here && !ours:
			st.changed = append(st.changed, rec.Path)
		case kept:
			st.back = append(st.back, rec.Path)
		case here:
			st.files = append(st.files, rec.Path)
		}
	}
	made, err := s.records.Dirs()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(made, func(a, b string) int { return strings.Compare(b, a) }) // a directory's own come before it
	for _, d := range made {
		if st.willBeEmpty(s, d) {
			st.dirs = append(st.dirs, d)
		}
	}
	// The journal tells of an agent that was killed before it could go.
	st.records = s.existsItself(s.records.Dir()) || s.existsItself(record.Journal)
	if st.records {
		for _, d := range k.want.EmptyDirs {
			if !slices.Contains(st.dirs, d) && st.willBeEmpty(s, d) {
				st.dirs = append(st.dirs, d)
			}
		}
	}
	return st, nil
}

// stillOurs tells whether a path of ours is there, and holds what we put there or
// what says that it is ours.
func stillOurs(ctx context.Context, s *session, rec record.Path) (here, ours bool, err error) {
	fi, err := os.Lstat(s.path(rec.Path))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return false, false, nil
	case err != nil:
		return false, false, err
	case rec.Target != "":
		target, err := os.Readlink(s.path(rec.Path))
		return true, err == nil && target == rec.Target, nil
	case !fi.Mode().IsRegular():
		return true, false, nil
	case rec.Vouches(fi) || fi.Size() == 0:
		return true, true, nil
	case fi.Size() <= maxDiffBytes:
		text, err := os.ReadFile(s.path(rec.Path))
		return true, hasHeader(text) || digestOf(text) == rec.Digest, err
	}
	digest, err := hashFile(ctx, s.path(rec.Path))
	return true, digest == rec.Digest, err
}

func (st *ownedState) willBeEmpty(s *session, dir string) bool {
	fi, err := os.Lstat(s.path(dir))
	if err != nil || !fi.IsDir() {
		return false
	}
	for _, name := range readNames(s, dir) {
		p := filepath.Join(dir, name)
		if !slices.Contains(st.files, p) && !slices.Contains(st.dirs, p) {
			return false
		}
	}
	return true
}

func (s *session) existsItself(p string) bool {
	_, err := os.Lstat(s.path(p))
	return err == nil
}

func (st *ownedState) diff(*session) ([]spec.Change, error) {
	lines := slices.Clone(st.files)
	for _, p := range st.back {
		lines = append(lines, p+": what was there before kforge comes back")
	}
	for _, p := range st.dirs {
		lines = append(lines, p+", which is empty then")
	}
	if st.records {
		lines = append(lines, record.StateDir+": kforge's own records")
	}
	return removal("path", lines), nil
}

// endUnits stops and disables the units whose files go: a link in a target's
// folder would be left otherwise.
func (st *ownedState) endUnits(ctx context.Context, s *session) (ended int, err error) {
	for _, p := range st.files {
		if filepath.Dir(p) != "/etc/systemd/system" {
			continue
		}
		if target, err := os.Readlink(s.path(p)); err == nil && target == "/dev/null" { // a mask is no unit
			continue
		}
		ended++
		name := filepath.Base(p)
		is, err := s.unitStatus(ctx, name)
		if err != nil {
			return ended, err
		}
		if is.disableable() {
			if _, err := run(ctx, s.Runner, "systemctl", "--no-reload", "disable", name); err != nil {
				return ended, err
			}
		}
		if is.load != "not-found" && is.active != "inactive" && is.active != "failed" {
			if err := s.job(ctx, "stop", name, 90*time.Second); err != nil {
				return ended, err
			}
		}
	}
	return ended, nil
}

// apply removes the records last: until then another run finds what is left.
func (st *ownedState) apply(ctx context.Context, s *session) error {
	for _, p := range st.changed {
		s.warn("%s was replaced by somebody else since kforge wrote it: it stays", p)
	}
	ended, err := st.endUnits(ctx, s)
	if err != nil {
		return err
	}
	for _, p := range st.back {
		if err := os.Rename(s.path(p)+origSuffix, s.path(p)); err != nil {
			return err
		}
	}
	for _, p := range st.files {
		if err := gone(os.Remove(s.path(p))); err != nil {
			return err
		}
	}
	if ended > 0 {
		if _, err := run(ctx, s.Runner, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	for _, p := range st.dirs {
		if err := gone(os.Remove(s.path(p))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// Directories that became empty by that, and by what went before.
	o, err := ownedKind{st.want}.observe(ctx, s)
	if err != nil {
		return err
	}
	for _, p := range o.(*ownedState).dirs {
		if err := gone(os.Remove(s.path(p))); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return errors.Join(RemoveTree(ctx, s.path(s.records.Dir())), gone(os.Remove(s.path(record.Journal))))
}

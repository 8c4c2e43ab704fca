package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

type absentKind struct{ want *spec.Absent }

// absentState is what is there of the paths.
type absentState struct {
	remove []string
	empty  []string // mount points and links: what is in them goes
	dirs   []string // empty, or will be
}

func (k absentKind) observe(_ context.Context, s *session) (observed, error) {
	st := &absentState{}
	for _, pattern := range k.want.Paths {
		found, err := globs(s, pattern)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			self, inside, err := mountedUnder(s, p)
			if err != nil {
				return nil, err
			}
			if inside != "" && !s.planning { // an earlier resource has unmounted what is ours
				return nil, diag.New(diag.Foreign, "", "%s is mounted, and is not removed with %s", inside, p).
					WithHint("unmount %s if nobody needs it, then run the same again", inside)
			}
			// A link to a directory is an admin's way to say where the space is.
			fi, err := os.Stat(s.path(p))
			self = self || err == nil && fi.IsDir() && resolve(s, p) != p
			switch {
			case !self:
				st.remove = append(st.remove, p)
			case len(readNames(s, p)) > 0:
				st.empty = append(st.empty, p)
			}
		}
	}
	for _, d := range k.want.EmptyDirs {
		if st.willBeEmpty(s, d) {
			st.dirs = append(st.dirs, d)
		}
	}
	return st, nil
}

// willBeEmpty tells whether all that is in a directory is about to be removed.
func (st *absentState) willBeEmpty(s *session, dir string) bool {
	fi, err := os.Lstat(s.path(dir))
	if err != nil || !fi.IsDir() {
		return false
	}
	if self, inside, err := mountedUnder(s, dir); self || inside != "" || err != nil {
		return false
	}
	for _, name := range readNames(s, dir) {
		p := filepath.Join(dir, name)
		if !slices.Contains(st.remove, p) && !slices.Contains(st.dirs, p) {
			return false
		}
	}
	return true
}

// globs gives the paths that a pattern fits; one without a pattern fits itself.
func globs(s *session, pattern string) ([]string, error) {
	dir, base := filepath.Split(pattern)
	if !strings.ContainsAny(base, "*?[") {
		if _, err := os.Lstat(s.path(pattern)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return []string{pattern}, nil
	}
	var out []string
	for _, name := range readNames(s, dir) {
		if ok, err := filepath.Match(base, name); err != nil {
			return nil, diag.Wrap(diag.Invalid, "check path "+pattern, err)
		} else if ok {
			out = append(out, filepath.Join(dir, name))
		}
	}
	return out, nil
}

func readNames(s *session, dir string) []string {
	entries, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func (st *absentState) diff(*session) ([]spec.Change, error) {
	lines := slices.Clone(st.remove)
	for _, p := range st.empty {
		lines = append(lines, "all in "+p+", which is a mount point or a link and stays")
	}
	for _, p := range st.dirs {
		lines = append(lines, p+", which is empty then")
	}
	return removal("path", lines), nil
}

// removal is a change that takes several things away: plans list them all.
func removal(what string, lines []string) []spec.Change {
	if len(lines) == 0 {
		return nil
	}
	c := spec.Change{Action: spec.Delete, Detail: fmt.Sprintf("%d %ss", len(lines), what)}
	if len(lines) == 1 {
		c.Detail = "1 " + what
	}
	for _, l := range lines {
		c.Diff += "- " + l + "\n"
	}
	return []spec.Change{c}
}

func (st *absentState) apply(ctx context.Context, s *session) error {
	for _, p := range st.remove {
		if err := RemoveTree(ctx, s.path(p)); err != nil {
			return err
		}
	}
	for _, p := range st.empty {
		for _, name := range readNames(s, p) {
			if err := RemoveTree(ctx, filepath.Join(s.path(p), name)); err != nil {
				return err
			}
		}
	}
	for _, p := range st.dirs {
		// Somebody may have put something there meanwhile: then it stays.
		if err := os.Remove(s.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// RemoveTree removes a file, or a directory with all in it. It follows no link,
// and stops at the border of the file system: what somebody mounts in there at
// this moment is not ours.
func RemoveTree(ctx context.Context, path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return gone(os.Remove(path))
	}
	return removeBelow(ctx, path, device(fi))
}

func removeBelow(ctx context.Context, dir string, dev uint64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return gone(err)
	}
	if device(fi) != dev {
		return diag.New(diag.Foreign, "remove "+dir, "another file system is mounted there")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return gone(err)
	}
	for _, e := range entries {
		p := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = removeBelow(ctx, p, dev)
		} else {
			err = gone(os.Remove(p))
		}
		if err != nil {
			return err
		}
	}
	return gone(os.Remove(dir))
}

// gone takes it for done when somebody else removed the path first.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

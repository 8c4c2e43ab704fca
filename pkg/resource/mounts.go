package resource

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/pkg/spec"
)

// mountPoints gives all mount points in the order in which they were made.
func mountPoints(s *session) ([]string, error) {
	raw, err := os.ReadFile(s.path("/proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, unescape(f[4]))
		}
	}
	return out, nil
}

type unmountedKind struct{ want *spec.Unmounted }

type unmountedState struct {
	mounts []string
	under  map[string]int // how many, by what names them
	order  []string       // of under
}

func (k unmountedKind) observe(_ context.Context, s *session) (observed, error) {
	all, err := mountPoints(s)
	if err != nil {
		return nil, err
	}
	st := &unmountedState{under: map[string]int{}}
	below := k.want.Below
	for _, dir := range k.want.Below {
		if real := resolve(s, dir); real != dir { // mounts are told by their real place
			below = append(below[:len(below):len(below)], real)
		}
	}
	for _, m := range all {
		for _, below := range below {
			prefix, pattern := strings.CutSuffix(below, "*")
			if !pattern {
				prefix += "/"
			}
			if strings.HasPrefix(m, prefix) {
				st.mounts = append(st.mounts, m)
				if st.under[below]++; st.under[below] == 1 {
					st.order = append(st.order, below)
				}
				break
			}
		}
	}
	return st, nil
}

func (st *unmountedState) diff(*session) ([]spec.Change, error) {
	if len(st.mounts) == 0 {
		return nil, nil
	}
	var lines []string // there are hundreds under a busy kubelet, and all say the same
	for _, dir := range st.order {
		lines = append(lines, fmt.Sprintf("%d under %s", st.under[dir], dir))
	}
	c := removal("mount", lines)
	c[0].Detail = fmt.Sprintf("%d mounts", len(st.mounts))
	return c, nil
}

// resolve follows the links of a directory; what is not there stays as it is.
func resolve(s *session, dir string) string {
	real, err := filepath.EvalSymlinks(s.path(dir))
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(s.Root, real)
	if err != nil || !filepath.IsLocal(rel) {
		return dir
	}
	return filepath.Join("/", rel)
}

// apply unmounts what was mounted last first.
func (st *unmountedState) apply(ctx context.Context, s *session) error {
	for i := len(st.mounts) - 1; i >= 0; i-- {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.Kernel.Unmount(s.path(st.mounts[i])); err != nil {
			return err
		}
	}
	return nil
}

// mountedUnder tells whether a directory is a mount point, and gives one inside
// of it, "" for none.
func mountedUnder(s *session, dir string) (self bool, inside string, err error) {
	all, err := mountPoints(s)
	if err != nil {
		return false, "", err
	}
	dir = resolve(s, filepath.Clean(dir))
	for _, m := range all {
		switch {
		case m == dir:
			self = true
		case strings.HasPrefix(m, dir+"/"):
			inside = m
		}
	}
	return self, inside, nil
}

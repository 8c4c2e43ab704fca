package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/durable"
	"kforge.dev/kforge/pkg/spec"
)

type moveKind struct{ want *spec.Move }

type moveState struct {
	want           *spec.Move
	from, to, kept bool // there
}

func (k moveKind) observe(_ context.Context, s *session) (observed, error) {
	st := &moveState{want: k.want}
	for path, there := range map[string]*bool{k.want.From: &st.from, k.want.To: &st.to, k.want.Keep: &st.kept} {
		if path == "" {
			continue
		}
		_, err := os.Lstat(s.path(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		*there = err == nil
	}
	return st, nil
}

func (st *moveState) diff(s *session) ([]spec.Change, error) {
	w := st.want
	c := spec.Change{Action: spec.Update, Detail: "move to " + w.To}
	keeps := "; what is there is kept as " + w.Keep
	switch {
	case !st.from && s.planning && (s.willChange(w.From) || s.willMake(w.From)):
		c.Pending = "an earlier step puts it there"
		if st.to && w.Keep != "" {
			c.Detail += keeps
		}
		return []spec.Change{c}, nil
	case !st.from && st.to:
		return nil, nil
	case !st.from:
		return nil, diag.New(diag.NotFound, "move "+w.From, "neither it nor %s is there", w.To)
	case !st.to:
		return []spec.Change{c}, nil
	case s.planning && s.willChange(w.To): // an earlier step moves it away
		return []spec.Change{c}, nil
	case w.Keep == "":
		return nil, foreign(w.To, "in the way of "+w.From+", and kforge was not told to keep it under another name")
	case st.kept:
		return nil, foreign(w.Keep, "there already, and "+w.To+" was to be kept under this name")
	}
	c.Detail += keeps
	return []spec.Change{c}, nil
}

func (st *moveState) apply(_ context.Context, s *session) error {
	w := st.want
	if st.to {
		if err := rename(s, w.To, w.Keep); err != nil {
			return err
		}
	}
	return rename(s, w.From, w.To)
}

// rename never replaces what appeared in the meantime, and waits for the disk:
// the next thing to look may be a program that starts after a power cut.
func rename(s *session, from, to string) error {
	if err := s.mkdirs(to); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, s.path(from), unix.AT_FDCWD, s.path(to), unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EBUSY):
		return diag.New(diag.Unsupported, "move "+from, "it or %s is a mount point: %v", to, err)
	case err != nil:
		return fmt.Errorf("moving %s to %s: %w", from, to, err)
	}
	return errors.Join(durable.Now(s.path(filepath.Dir(from))), durable.Now(s.path(filepath.Dir(to))))
}

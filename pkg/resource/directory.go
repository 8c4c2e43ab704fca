package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"kforge.dev/kforge/pkg/spec"
)

type directoryKind struct{ want *spec.Directory }

type directoryState struct {
	want     *spec.Directory
	there    bool
	mode     fs.FileMode
	uid, gid int
}

// directoryBits are the mode bits that a directory of ours may have.
const directoryBits = fs.ModePerm | fs.ModeSticky

func (k directoryKind) observe(_ context.Context, s *session) (observed, error) {
	if err := checkMode(k.want.Mode, directoryBits); err != nil {
		return nil, err
	}
	st := &directoryState{want: k.want}
	// A link to a directory is an admin's way to say where the space is.
	fi, err := os.Stat(s.path(k.want.Path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(s.path(k.want.Path)); err == nil {
			return nil, foreign(k.want.Path, "a symbolic link to nowhere")
		}
		return st, nil
	case err != nil:
		return nil, err
	case !fi.IsDir():
		return nil, foreign(k.want.Path, "no directory")
	}
	st.there, st.mode = true, fi.Mode()&directoryBits
	st.uid, st.gid = owner(fi)
	return st, nil
}

func (st *directoryState) diff(*session) ([]spec.Change, error) {
	w := st.want
	if !st.there {
		return []spec.Change{{Action: spec.Create, Detail: fmt.Sprintf("mode %04o", w.Mode.Perm())}}, nil
	}
	var what []string
	if st.mode != w.Mode {
		what = append(what, fmt.Sprintf("mode %v to %v", st.mode, w.Mode))
	}
	if wrongOwner(st.uid, st.gid, w.UID, w.GID) {
		what = append(what, fmt.Sprintf("owner %d:%d to %d:%d", st.uid, st.gid, w.UID, w.GID))
	}
	if len(what) == 0 {
		return nil, nil
	}
	return []spec.Change{{Action: spec.Update, Detail: strings.Join(what, ", ")}}, nil
}

func (st *directoryState) apply(_ context.Context, s *session) error {
	path := s.path(st.want.Path)
	if !st.there {
		if err := s.mkdirs(st.want.Path); err != nil {
			return err
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if err := s.records.Made(st.want.Path); err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, st.want.UID, st.want.GID); err != nil {
			return err
		}
	}
	return os.Chmod(path, st.want.Mode)
}

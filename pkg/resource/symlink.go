package resource

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

type symlinkKind struct{ want *spec.Symlink }

type symlinkState struct {
	want   *spec.Symlink
	there  bool
	target string
	ours   bool
}

func (k symlinkKind) observe(_ context.Context, s *session) (observed, error) {
	st := &symlinkState{want: k.want}
	fi, err := os.Lstat(s.path(k.want.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	if fi.Mode()&fs.ModeSymlink == 0 {
		return nil, foreign(k.want.Path, "no symbolic link")
	}
	if st.target, err = os.Readlink(s.path(k.want.Path)); err != nil {
		return nil, err
	}
	rec, err := s.records.Path(k.want.Path)
	if err != nil {
		return nil, err
	}
	st.there, st.ours = true, rec != nil
	return st, nil
}

func (st *symlinkState) diff(*session) ([]spec.Change, error) {
	w := st.want
	switch {
	case !st.there:
		return []spec.Change{{Action: spec.Create, Detail: "to " + w.Target}}, nil
	case st.target == w.Target:
		return nil, nil
	case !st.ours:
		return nil, foreign(w.Path, "a link to "+st.target+" that kforge did not make")
	}
	return []spec.Change{{Action: spec.Update, Detail: "target " + st.target + " to " + w.Target}}, nil
}

func (st *symlinkState) apply(_ context.Context, s *session) error {
	w := st.want
	if err := s.mkdirs(w.Path); err != nil {
		return err
	}
	if err := s.records.Intend(record.Path{Path: w.Path, Target: w.Target}); err != nil {
		return err
	}
	return linkAtomic(s.Later, s.path(w.Path), w.Target)
}

func (st *symlinkState) adopt(s *session) error {
	if st.ours {
		return nil
	}
	return s.records.Intend(record.Path{Path: st.want.Path, Target: st.want.Target})
}

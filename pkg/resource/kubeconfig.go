package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

type kubeconfigKind struct{ want *spec.Kubeconfig }

type kubeconfigState struct {
	want     *spec.Kubeconfig
	content  []byte // nil when there is no file
	mode     fs.FileMode
	uid, gid int
	server   string // as it is
}

// serverLine is where kubeadm and the kubelet write the server of a cluster; they
// write block YAML, in which a string of that form needs no quotes.
var serverLine = regexp.MustCompile(`(?m)^( +server: )(\S+)$`)

func (k kubeconfigKind) observe(_ context.Context, s *session) (observed, error) {
	st := &kubeconfigState{want: k.want}
	if !strings.HasPrefix(k.want.Server, "https://") || strings.ContainsAny(k.want.Server, " \n\t\"'#") {
		return nil, diag.New(diag.Invalid, "check kubeconfig", "%q is not a server such as https://host:6443", k.want.Server)
	}
	path := s.path(k.want.Path)
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return st, nil
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, foreign(k.want.Path, "no regular file")
	}
	if st.content, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	st.mode = fi.Mode().Perm()
	st.uid, st.gid = owner(fi)
	found := serverLine.FindAllSubmatch(st.content, -1)
	if len(found) != 1 {
		return nil, diag.New(diag.Foreign, "read "+k.want.Path, "it names %d servers, and kubeadm writes one", len(found)).
			WithHint("set its server to %s by hand, or move it away and join the host anew", k.want.Server)
	}
	st.server = string(found[0][2])
	return st, nil
}

func (st *kubeconfigState) diff(s *session) ([]spec.Change, error) {
	if st.content == nil || st.server == st.want.Server {
		return nil, nil
	}
	return []spec.Change{{Action: spec.Update, Detail: fmt.Sprintf("server %s to %s", st.server, st.want.Server)}}, nil
}

func (st *kubeconfigState) apply(ctx context.Context, s *session) error {
	out := serverLine.ReplaceAll(st.content, []byte("${1}"+strings.ReplaceAll(st.want.Server, "$", "$$")))
	return writeAtomic(ctx, s.Later, s.path(st.want.Path), st.mode, st.uid, st.gid, bytes.NewReader(out), digestOf(out), func() error { return nil })
}

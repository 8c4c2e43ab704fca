package resource

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// haproxyPatience is for an answer of the master: a reload waits until the new
// worker has read its configuration and listens.
const haproxyPatience = 20 * time.Second

type haproxyKind struct{ want *spec.HAProxy }

type haproxyState struct {
	want   *spec.HAProxy
	runs   bool
	digest string // of the configuration that it works with
}

func (k haproxyKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &haproxyState{want: k.want}
	// The master passes on what is for its worker.
	info, err := askHAProxy(ctx, s.path(k.want.Socket), "@1 show info")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	st.runs = true
	for line := range strings.Lines(info) {
		if key, value, _ := strings.Cut(line, ":"); strings.EqualFold(key, "description") {
			st.digest = strings.TrimSpace(value)
		}
	}
	return st, nil
}

func (st *haproxyState) diff(*session) ([]spec.Change, error) {
	if !st.runs || st.digest == st.want.Digest {
		return nil, nil
	}
	return []spec.Change{{Action: spec.Update, Detail: "reload", Why: "its configuration changed"}}, nil
}

func (st *haproxyState) apply(ctx context.Context, s *session) error {
	// Since HAProxy 2.7 the answer comes when it is done, and holds what the new
	// worker said: docs.haproxy.org, management guide, "reload".
	said, err := askHAProxy(ctx, s.path(st.want.Socket), "reload")
	if err == nil && !strings.Contains(said, "Success=1") {
		err = diag.New(diag.Command, "reload HAProxy", "it goes on with the configuration of before:\n%s", strings.TrimSpace(said))
	}
	return err
}

// askHAProxy sends one command and gives the answer.
func askHAProxy(ctx context.Context, socket, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, haproxyPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err = io.WriteString(conn, command+"\n"); err == nil {
		// A worker's answer has no end of its own: the master waits for more
		// commands until it sees that none will come.
		err = conn.(*net.UnixConn).CloseWrite()
	}
	if err == nil {
		var out []byte
		if out, err = io.ReadAll(io.LimitReader(conn, 1<<20)); err == nil {
			return string(out), nil
		}
	}
	if ctx.Err() != nil {
		return "", diag.New(diag.Timeout, "ask HAProxy: "+command, "no answer within %s", haproxyPatience)
	}
	return "", err
}

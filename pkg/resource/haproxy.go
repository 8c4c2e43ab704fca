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

// How long the master may take. A reload ends when the new worker has read its
// configuration and listens.
const (
	haproxyTells   = 5 * time.Second
	haproxyReloads = 20 * time.Second
)

type haproxyKind struct{ want *spec.HAProxy }

type haproxyState struct {
	want   *spec.HAProxy
	runs   bool
	digest string // of the configuration that it works with
}

func (k haproxyKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &haproxyState{want: k.want}
	// The master passes on what is for its worker.
	info, err := askHAProxy(ctx, s.path(k.want.Socket), "@1 show info", haproxyTells)
	if st.runs = info != ""; err != nil || !st.runs {
		return st, err
	}
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
	said, err := askHAProxy(ctx, s.path(st.want.Socket), "reload", haproxyReloads)
	if said != "" && !strings.Contains(said, "Success=1") {
		err = diag.New(diag.Command, "reload HAProxy", "it goes on with the configuration of before:\n%s", strings.TrimSpace(said))
	}
	return err
}

// askHAProxy sends one command and gives the answer, "" when there is nobody to
// answer: it does not run, or ends at this moment, since the kubelet makes its pod
// anew. The next one reads the configuration at its start.
func askHAProxy(ctx context.Context, socket, command string, within time.Duration) (string, error) {
	op := "ask HAProxy: " + command
	ctx, cancel := context.WithTimeoutCause(ctx, within, diag.New(diag.Command, op, "no answer within %s", within).
		WithHint("look at the pod kforge-lb of that node: crictl ps -a; crictl logs"))
	defer cancel()
	out, err := exchange(ctx, socket, command)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return "", nil
	}
	return out, err
}

func exchange(ctx context.Context, socket, command string) (string, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	// A worker's answer has no end of its own: the master waits for more commands
	// until it sees that none will come.
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return "", err
	}
	out, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	return string(out), err
}

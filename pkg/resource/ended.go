package resource

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// endedPace is between two looks: a port that is let go of tells nobody.
const endedPace = 100 * time.Millisecond

type endedKind struct{ want *spec.Ended }

type endedState struct {
	want *spec.Ended
	left string // the first that has not ended, "" when all have
}

func (k endedKind) observe(ctx context.Context, s *session) (observed, error) {
	for _, addr := range k.want.Addresses {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, diag.Wrap(diag.Invalid, "check ended", err)
		}
	}
	left, err := k.left(ctx, s)
	return &endedState{want: k.want, left: left}, err
}

// left names the first that has not ended.
func (k endedKind) left(ctx context.Context, s *session) (string, error) {
	d := net.Dialer{Timeout: time.Second}
	for _, addr := range k.want.Addresses {
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			conn.Close()
			return "what answers at " + addr, nil
		}
	}
	for _, pattern := range k.want.Paths {
		found, err := filepath.Glob(s.path(pattern))
		if err != nil {
			return "", diag.Wrap(diag.Invalid, "check ended", err)
		}
		if len(found) > 0 {
			return "what " + strings.TrimPrefix(found[0], strings.TrimSuffix(s.path("/"), "/")) + " belongs to", nil
		}
	}
	return "", context.Cause(ctx) // a look that was cut off saw nothing
}

func (st *endedState) diff(*session) ([]spec.Change, error) {
	if st.left == "" {
		return nil, nil
	}
	return []spec.Change{{Action: spec.Stop, Detail: st.left}}, nil
}

func (st *endedState) apply(ctx context.Context, s *session) error {
	patience := 120 * time.Second
	if st.want.TimeoutSeconds > 0 {
		patience = time.Duration(st.want.TimeoutSeconds) * time.Second
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	tick := time.NewTicker(endedPace)
	defer tick.Stop()
	for {
		left, err := endedKind{st.want}.left(ctx, s)
		if err != nil || left == "" {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return diag.New(diag.Timeout, "wait for the end of "+left, "it is there still after %s", patience).
				WithHint("is the kubelet running? it stops what is no longer in /etc/kubernetes/manifests: systemctl status kubelet")
		}
	}
}

package run

import (
	"context"
	"errors"
	"net"

	"kforge.dev/kforge/pkg/diag"
)

// tunnel dials the cluster's API through the first control plane that answers:
// the admin's machine may have no route to it, and needs none.
func (f *fleet) tunnel(ctx context.Context, network, addr string) (net.Conn, error) {
	var errs []error
	for _, cp := range f.cluster.ControlPlanes() {
		if f.unreachable[cp.Name] != nil {
			continue
		}
		h, err := f.host(ctx, cp.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := h.DialContext(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, diag.New(diag.Unreachable, "dial "+addr, "no control plane can be reached")
	}
	return nil, errors.Join(errs...)
}

package run

import (
	"context"
	"errors"
	"net"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
)

// tunnel dials the cluster's API through the first control plane that answers:
// the admin's machine may have no route to it, and needs none. Where nodes have
// load balancers of their own, that of the control plane is tried first, since it
// knows which API servers are ready, then its own server. Its own server comes
// before a virtual address, which is on its way when its holder is gone.
func (f *fleet) tunnel(ctx context.Context, network, addr string) (net.Conn, error) {
	var errs []error
	for _, cp := range f.planes() {
		if f.unreachable[cp.Name] != nil {
			continue
		}
		h, err := f.host(ctx, cp.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		own := net.JoinHostPort("127.0.0.1", kubeadm.APIPort)
		addresses := []string{addr}
		switch f.cluster.EndpointMode {
		case inventory.EndpointLocal:
			addresses = []string{inventory.LocalEndpoint, own}
		case inventory.EndpointKubeVIP: // an address that nobody holds just now takes seconds to say so
			addresses = []string{own, addr}
		}
		for _, a := range addresses {
			conn, err := h.DialContext(ctx, network, a)
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil, diag.New(diag.Unreachable, "dial "+addr, "no control plane can be reached")
	}
	return nil, errors.Join(errs...)
}

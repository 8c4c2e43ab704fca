package host

import (
	"context"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/wire"
)

// Probe takes one measurement on the host, all but Listen.
func (h *Host) Probe(ctx context.Context, p wire.Probe) (*wire.Probed, error) {
	r, err := h.ask(ctx, "measure", askSilence, wire.Header{Type: wire.TProbe, Probe: &p})
	if err != nil {
		return nil, err
	}
	if r.Probed == nil {
		return nil, h.wrap(diag.New(diag.Internal, "probe", "the agent's reply holds nothing"))
	}
	return r.Probed, nil
}

// Listen holds ports of the host open until ctx ends or the time is up, which
// is no error. ready is told once, when they are, of each port in order.
func (h *Host) Listen(ctx context.Context, l wire.Listen, ready func([]wire.Listening)) error {
	p := patient(ctx, "hold ports open", askSilence+stretch(time.Duration(l.Seconds*float64(time.Second)), 1))
	defer p.stop()
	_, err := h.client.call(p, wire.Header{Type: wire.TProbe, Probe: &wire.Probe{Listen: &l}}, nil, func(e wire.Event) {
		if e.Listening != nil {
			ready(e.Listening)
		}
	})
	return h.wrap(err)
}

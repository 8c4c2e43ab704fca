package agent

import (
	"context"

	"kforge.dev/kforge/pkg/agent/netprobe"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/wire"
)

// probe takes one measurement. In read-only mode too: nothing of it is left.
func (s *server) probe(ctx context.Context, id uint64, p wire.Probe) (*wire.Reply, error) {
	out := &wire.Probed{}
	var err error
	switch {
	case p.Listen != nil:
		// A run of somebody else may be about to need the very ports.
		if err = s.othersLock(); err != nil {
			break
		}
		err = netprobe.Listen(ctx, *p.Listen, func(l []wire.Listening) {
			// A stream that is broken ends the requests by itself.
			_ = s.w.Write(wire.Header{ID: id, Type: wire.TEvent, Event: &wire.Event{Listening: l}}, nil)
		})
	case p.Dial != nil:
		out.Paths, err = netprobe.Dial(ctx, *p.Dial)
	case p.Resolve != nil:
		out.Lookups = netprobe.Resolve(ctx, *p.Resolve, s.Resolver)
	case p.Sync != nil:
		out.Sync, err = s.Sync(ctx, *p.Sync)
	case p.NTP != nil:
		out.NTP = netprobe.NTP(ctx, *p.NTP)
	default:
		err = diag.New(diag.Internal, "probe", "nothing to measure is named")
	}
	if err != nil {
		return nil, err
	}
	return &wire.Reply{Probed: out}, nil
}

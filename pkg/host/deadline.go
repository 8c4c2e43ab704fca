package host

import (
	"context"
	"math"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// A host may stop answering while its SSH connection lives: a disk that hangs, a
// program that never ends. So every request has a deadline, which [Options].Slow
// stretches: not for the whole of its work, which may be long, but for how long
// the host may be silent about it.
const (
	askSilence  = time.Minute     // what is only looked up
	planSilence = 2 * time.Minute // every resource is observed before one word is said
	sendSilence = time.Minute     // between two pieces of what is sent
)

// applySilence bounds an apply: the longest that one resource may take without a
// word, and what is looked at around it. Time-outs in resources are scaled
// already; those given here are not.
func applySilence(rs []spec.Resource, scale float64) time.Duration {
	longest := time.Duration(0)
	for _, r := range rs {
		var d time.Duration
		switch {
		case r.Command != nil:
			d = orSeconds(r.Command.TimeoutSeconds, 300)
			if len(r.Command.Recover) > 0 {
				d *= 2
			}
		case r.Unit != nil:
			d = orSeconds(r.Unit.TimeoutSeconds, 90)
		case r.Image != nil: // what containerd unpacks after it has read all
			d = stretch(10*time.Minute, scale)
		case r.Swap != nil: // every page comes back from an old disk
			d = stretch(15*time.Minute, scale)
		case r.Archive != nil:
			d = stretch(5*time.Minute, scale)
		}
		longest = max(longest, d)
	}
	return longest + stretch(planSilence, scale)
}

func orSeconds(n, usual int) time.Duration {
	if n == 0 {
		n = usual
	}
	return time.Duration(n) * time.Second
}

// stretch multiplies a time-out for slow machines; a scale of 0 is 1.
func stretch(d time.Duration, scale float64) time.Duration {
	if scale <= 0 {
		return d
	}
	return time.Duration(math.Min(float64(d)*scale, math.MaxInt64/2))
}

// patience ends a request about which the host has been silent for too long.
type patience struct {
	context.Context
	timer  *time.Timer
	cancel context.CancelCauseFunc
	d      time.Duration
}

// patient gives the context of a request. Call heard for each sign of life, and
// stop at the end.
func patient(ctx context.Context, what string, d time.Duration) *patience {
	ctx, cancel := context.WithCancelCause(ctx)
	silent := diag.New(diag.Timeout, what, "the host has said nothing for %s", d).
		WithHint("look there for a disk or a program that hangs (`ps -eo pid,stat,wchan,args`, `dmesg`); if it is only slow, raise timeoutScale of the host or its class")
	return &patience{Context: ctx, cancel: cancel, d: d, timer: time.AfterFunc(d, func() { cancel(silent) })}
}

func (p *patience) heard() { p.timer.Reset(p.d) }

func (p *patience) stop() {
	p.timer.Stop()
	p.cancel(nil)
}

// ask sends a request that is answered at once.
func (h *Host) ask(ctx context.Context, what string, d time.Duration, r wire.Header) (*wire.Reply, error) {
	p := patient(ctx, what, stretch(d, h.slow))
	defer p.stop()
	rep, err := h.client.call(p, r, nil, nil)
	return rep, h.wrap(err)
}

package engine

import (
	"context"
	"fmt"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
)

// attempts executes a step until it ends well, fails for good, or has had its
// attempts. Changes add up over the attempts.
func (r *run) attempts(ctx context.Context, s graph.Step) (changes int, err error) {
	sink := r.sinkOf(s)
	for n := 1; ; n++ {
		var made int
		made, err = r.attempt(ctx, s, sink)
		changes += made
		if err == nil || n > r.cfg.Retries || ctx.Err() != nil || !diag.KindOf(err).Retryable() {
			return changes, err
		}
		wait := r.cfg.Backoff(n)
		sink(event.Event{
			Event: event.Warning,
			Text:  fmt.Sprintf("%s: %v; trying again in %s (attempt %d of %d)", s.Title, err, wait, n+1, r.cfg.Retries+1),
			Hint:  diag.Hint(err),
		})
		if !r.pause(ctx, wait) {
			return changes, err
		}
	}
}

// pause waits and reports whether to go on: a stop or a cancel ends it.
func (r *run) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-r.cfg.Stop:
		return false
	}
}

// backoff grows fourfold from a second: a host that reboots a daemon is back
// after a few seconds, and a dead one should not hold its step for minutes.
func backoff(n int) time.Duration {
	d := time.Second
	for ; n > 1 && d < 30*time.Second; n-- {
		d *= 4
	}
	return min(d, 30*time.Second)
}

// sinkOf fills in what an executor need not repeat.
func (r *run) sinkOf(s graph.Step) event.Sink {
	return func(e event.Event) {
		if e.Host == "" {
			e.Host = s.Host
		}
		if e.Step == "" {
			e.Step = s.ID
		}
		if e.Phase == "" {
			e.Phase = s.Phase
		}
		r.cfg.Sink(e)
	}
}

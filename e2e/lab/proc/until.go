package proc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Until calls try again and again until it succeeds. After timeout it gives up with try's last error.
func Until(ctx context.Context, timeout time.Duration, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTooLong)
	defer cancel()
	again := time.NewTicker(150 * time.Millisecond)
	defer again.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTooLong) {
				return fmt.Errorf("waiting for %s for %s: %w", what, timeout, err)
			}
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		case <-again.C:
		}
	}
}

var errTooLong = errors.New("it took too long")

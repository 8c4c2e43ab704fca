package proc

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestErrorTellsProgramAndReason(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), "sh", "-c", "echo no such thing >&2; exit 3")
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("Run() = %v, want *Error", err)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit error = %v, want code 3", exit)
	}
	if failed.Stderr != "no such thing" || !strings.Contains(err.Error(), "running sh -c") {
		t.Errorf("error = %q, want the program and its stderr", err)
	}
}

func TestOutputIsTrimmed(t *testing.T) {
	t.Parallel()
	got, err := Output(t.Context(), "echo", " hello ")
	if err != nil || got != "hello" {
		t.Fatalf("Output() = %q, %v, want hello", got, err)
	}
}

func TestLongTextIsCut(t *testing.T) {
	t.Parallel()
	if got := tail(strings.Repeat("a", 5)+"end", 3); got != "...end" {
		t.Errorf("tail() = %q", got)
	}
	if got := abbreviate("abcdef", 3); got != "abc..." {
		t.Errorf("abbreviate() = %q", got)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	calls := 0
	if err := Until(t.Context(), time.Minute, "the second try", func(context.Context) error {
		if calls++; calls < 2 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || calls != 2 {
		t.Errorf("Until() = %v after %d calls", err, calls)
	}
	err := Until(t.Context(), time.Millisecond, "nothing", func(context.Context) error { return errors.New("not yet") })
	if err == nil || err.Error() != "waiting for nothing for 1ms: not yet" {
		t.Errorf("Until() = %v, want the last error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Until(ctx, time.Minute, "nothing", func(context.Context) error { return errors.New("not yet") }); !errors.Is(err, context.Canceled) {
		t.Errorf("Until() = %v, want canceled", err)
	}
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	of := func(k diag.Kind) error { return diag.New(k, "do", "no") }
	var bad errlist.List
	bad.Add(of(diag.Invalid))
	bad.Add(of(diag.Invalid))
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"done", nil, 0},
		{"failed", errors.New("boom"), 1},
		{"a host's command failed", of(diag.Command), 1},
		{"plan has changes", &exitError{ExitChanges}, 2},
		{"some hosts failed", &diag.Error{Kind: diag.Partial, Err: errors.Join(of(diag.Command), of(diag.Preflight))}, 3},
		{"bad inventory", bad.Err(), 4},
		{"bad flag, wrapped", fmt.Errorf("x: %w", of(diag.Invalid)), 4},
		{"preflight findings", errors.Join(of(diag.Preflight), of(diag.Preflight)), 5},
		{"preflight findings of one host", &diag.Error{Host: "n1", Err: of(diag.Preflight)}, 5},
		{"nobody to ask", of(diag.Consent), 6},
		{"locked", &diag.Error{Host: "n1", Err: of(diag.Locked)}, 7},
		{"interrupted", errors.Join(of(diag.Canceled), of(diag.Command)), 130},
		{"context canceled", context.Canceled, 130},
		{"a defect", of(diag.Internal), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := ExitCode(tt.err); got != tt.want {
				t.Errorf("ExitCode = %d, want %d", got, tt.want)
			}
		})
	}
}

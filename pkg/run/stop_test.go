package run

import (
	"context"
	"errors"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

func TestFirstInterruptEndsWhatComesBeforeTheSteps(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	s := &session{env: &Env{Stop: stop}}
	broken := diag.New(diag.Transport, "read facts", "the connection is closed")
	err := s.beforeSteps(t.Context(), func(ctx context.Context) error {
		close(stop)
		<-ctx.Done()
		return broken
	})
	if diag.KindOf(err) != diag.Canceled || errors.Is(err, broken) {
		t.Errorf("interrupted: %v (%q), want the interruption", err, diag.KindOf(err))
	}
	s = &session{env: &Env{}}
	if err := s.beforeSteps(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("failed: %v, want the failure", err)
	}
	if err := s.beforeSteps(t.Context(), func(ctx context.Context) error { return ctx.Err() }); err != nil {
		t.Errorf("done: %v", err)
	}
}

func TestPreviewNamesTheHostsThatAnswerNoMore(t *testing.T) {
	t.Parallel()
	x := &executor{fleet: &fleet{cluster: &inventory.Cluster{}}}
	steps := []graph.Step{{ID: "n1/files", Host: "n1", Work: &spec.HostWork{}}, {ID: "n2/files", Host: "n2", Work: &spec.HostWork{}}}
	_, _, failed, err := preview(t.Context(), x, steps, false, nil)
	if err != nil || failed["n1"] == nil || failed["n2"] == nil {
		t.Errorf("preview: failed hosts %v, error %v; want both hosts and no error", failed, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, failed, err := preview(ctx, x, steps, false, nil); err == nil {
		t.Errorf("preview of a run that ended: failed hosts %v and no error", failed)
	}
}

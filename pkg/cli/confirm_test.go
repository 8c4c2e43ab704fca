package cli

import (
	"bytes"
	"os"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ui"
)

func TestInterruptAtTheQuestionIsNoAnswer(t *testing.T) {
	t.Parallel()
	in, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { typing.Close(); in.Close() })
	a := &app{streams: Streams{In: in, Err: &bytes.Buffer{}}, stop: make(chan struct{})}
	close(a.stop)
	yes, err := a.confirm(t.Context(), ui.PlanView{})
	if yes || diag.KindOf(err) != diag.Canceled || ExitCode(err) != ExitInterrupted {
		t.Errorf("confirm = %v, %v with exit code %d, want an interruption", yes, err, ExitCode(err))
	}
}

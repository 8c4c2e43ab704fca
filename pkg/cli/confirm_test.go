package cli

import (
	"bytes"
	"context"
	"os"
	"testing"

	"kforge.dev/kforge/pkg/agentbin"
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

func TestInterruptsByTheirNumber(t *testing.T) {
	t.Parallel()
	for _, onHosts := range []bool{true, false} {
		a := &app{streams: Streams{Err: &bytes.Buffer{}}, stop: make(chan struct{})}
		a.hosts.Store(onHosts)
		ctx, cancel := context.WithCancelCause(t.Context())
		ch, left := make(chan os.Signal), make(chan int, 1)
		go a.interrupts(ch, nil, cancel, func(code int) { left <- code })
		ch <- os.Interrupt
		<-a.stop
		if onHosts {
			if ctx.Err() != nil {
				t.Error("the first ctrl-c cancelled what runs on hosts")
			}
			ch <- os.Interrupt
		}
		<-ctx.Done()
		if got := ExitCode(context.Cause(ctx)); got != ExitInterrupted {
			t.Errorf("on hosts %t: %v has exit code %d", onHosts, context.Cause(ctx), got)
		}
		ch <- os.Interrupt
		if got := <-left; got != ExitInterrupted {
			t.Errorf("on hosts %t: left with %d", onHosts, got)
		}
	}
}

func TestRunsOnHostsAreLetEnd(t *testing.T) {
	t.Parallel()
	a := &app{streams: Streams{In: &bytes.Buffer{}, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, agents: agentbin.Embedded, progress: "plain", color: "never"}
	if _, _, err := a.env(&clusterFlags{output: "text"}, []string{"lab.yaml"}); err != nil {
		t.Fatal(err)
	}
	if !a.hosts.Load() {
		t.Error("the first ctrl-c would cancel what runs on hosts")
	}
}

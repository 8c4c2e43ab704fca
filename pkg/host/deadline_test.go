package host

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

func TestSilenceOfAnApply(t *testing.T) {
	t.Parallel()
	file := spec.Resource{File: &spec.File{}}
	image := spec.Resource{Image: &spec.Image{}}
	unit := spec.Resource{Unit: &spec.Unit{TimeoutSeconds: 270}} // scaled by who made it
	command := spec.Resource{Command: &spec.Command{TimeoutSeconds: 600, Recover: []string{"reset"}}}
	for _, tt := range []struct {
		resources []spec.Resource
		scale     float64
		want      time.Duration
	}{
		{[]spec.Resource{file}, 0, 2 * time.Minute},
		{[]spec.Resource{file}, 3, 6 * time.Minute},
		{[]spec.Resource{file, image, image}, 3, 36 * time.Minute},
		{[]spec.Resource{unit, file}, 3, 270*time.Second + 6*time.Minute},
		{[]spec.Resource{command}, 1, 22 * time.Minute},
	} {
		if got := applySilence(tt.resources, tt.scale); got != tt.want {
			t.Errorf("%d resources at scale %g: %s, want %s", len(tt.resources), tt.scale, got, tt.want)
		}
	}
}

// Every sign of life gives the host its time again.
func TestPatienceIsForSilence(t *testing.T) {
	t.Parallel()
	p := patient(t.Context(), "apply", time.Hour)
	p.heard()
	if p.Err() != nil {
		t.Error("it ended at once")
	}
	p.stop()
	short := patient(t.Context(), "apply", time.Millisecond)
	defer short.stop()
	<-short.Done()
	if err := context.Cause(short); diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "apply: the host has said nothing for 1ms") || diag.Hint(err) == "" {
		t.Errorf("after the silence: %v", err)
	}
}

// A host that takes nothing any more keeps a write waiting: the request ends all
// the same, and so does the stream.
func TestRequestOfAHostThatTakesNothing(t *testing.T) {
	t.Parallel()
	fromHost, _ := io.Pipe()
	_, toHost := io.Pipe() // nobody reads
	c := newClient(wire.NewWriter(toHost), wire.NewReader(fromHost), func() {
		toHost.Close()
		fromHost.Close()
	})
	p := patient(t.Context(), "send it", time.Millisecond)
	defer p.stop()
	_, err := c.call(p, wire.Header{Type: wire.TPut, Put: &wire.Put{Size: 3}}, strings.NewReader("abc"), nil)
	if diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "send it") {
		t.Errorf("call = %v, want kind timeout", err)
	}
	<-c.ended
	if c.broken() == nil {
		t.Error("the stream still counts as whole")
	}
	c.hush()
}

package main

import (
	"context"
	"fmt"
	"io"

	"kforge.dev/kforge/e2e/fleet/speed"
)

// measureKforge prints a line for each run.
func measureKforge(ctx context.Context, c speed.Config, stdout io.Writer) error {
	fmt.Fprintf(stdout, "%6s %8s %8s %8s %8s %9s %11s %13s\n", "hosts", "wall s", "CPU s", "hosts s", "others s", "peak MB", "conns/host", "sessions/host")
	c.Each = func(r speed.Run) {
		fmt.Fprintf(stdout, "%6d %8.2f %8.2f %8.2f %8.2f %9.1f %11d %13d\n", r.Hosts, r.Wall, r.CPU, r.HostsCPU, r.Others, float64(r.Peak)/1e6, r.Connections, r.Sessions)
	}
	_, err := speed.Measure(ctx, c)
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
)

// measurePlan runs `kforge plan` on the fleet some times, in a process of its
// own, and prints a line for each. The fleet works on the same machine: its CPU
// time is not in kforge's, but wall time is shared.
func measurePlan(ctx context.Context, f *fleet.Fleet, kforge string, runs int, stdout io.Writer) error {
	program, err := filepath.Abs(kforge)
	if err != nil {
		return err
	}
	hosts := float64(len(f.Machines))
	fmt.Fprintf(stdout, "%6s %10s %10s %10s %14s %14s\n", "hosts", "wall", "CPU", "peak MiB", "conns/host", "sessions/host")
	for range runs {
		before := f.Stats()
		c := exec.CommandContext(ctx, program, "plan", "-o", "json", "--progress", "plain",
			"-i", f.Inventory, "--state-dir", filepath.Join(filepath.Dir(f.Inventory), "runs"))
		c.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(filepath.Dir(f.Inventory), "cache"))
		log, err := os.CreateTemp(filepath.Dir(f.Inventory), "plan-*.log")
		if err != nil {
			return err
		}
		c.Stderr = log
		began := time.Now()
		err = c.Run()
		wall := time.Since(began)
		log.Close()
		if err != nil {
			said, _ := os.ReadFile(log.Name()) // what it said is a courtesy
			return fmt.Errorf("run %s plan: %w\n%s", program, err, said[max(0, len(said)-4000):])
		}
		after := f.Stats()
		usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return fmt.Errorf("measure %s: no resource usage on this system", program)
		}
		fmt.Fprintf(stdout, "%6d %10s %10s %10.1f %14.2f %14.2f\n", len(f.Machines), wall.Round(time.Millisecond),
			(c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Round(time.Millisecond), float64(usage.Maxrss)/1024,
			float64(after.Connections-before.Connections)/hosts, float64(after.Sessions-before.Sessions)/hosts)
	}
	return nil
}

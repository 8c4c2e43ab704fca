// Command fleet starts hosts in this process that any kforge command can be
// tried on, and measures kforge on hundreds of them.
//
//	go run ./e2e/fleet -n 50 -latency 5ms -dir /tmp/fleet -break h007=refuse
//	go run ./e2e/fleet -n 1000 -measure bin/kforge -command check
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/e2e/fleet/speed"
)

func main() {
	if code, was := fleet.AgentProcess(); was {
		os.Exit(code)
	}
	if args := os.Args[1:]; speed.Asked(args) {
		if err := speed.Serve(args, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "fleet:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "fleet:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(stderr)
	n := flags.Int("n", 3, "how many hosts; the first is the control plane")
	latency := flags.Duration("latency", 0, "added to all that a host reads from the network")
	dir := flags.String("dir", "", "an empty folder for hosts, inventory and keys; by default a temporary one, which is removed at the end")
	cold := flags.Bool("cold", false, "hosts have no agent yet, and kforge uploads it")
	processes := flags.Bool("processes", false, "agents are processes of their own: faults kill them with SIGKILL, and so can you")
	measure := flags.String("measure", "", "run kforge, which is this program, on -n hosts with a round trip of "+speed.RoundTrip.String()+"; print figures, and end")
	command := flags.String("command", "check", "what to measure: check or plan")
	runs := flags.Int("runs", 3, "how many times to measure")
	faults := map[string]fleet.Faults{}
	flags.Func("break", "break a host, `NAME=FAULT`; "+fleet.FaultHelp, func(s string) error {
		name, fault, _ := strings.Cut(s, "=")
		f, err := faults[name].With(fault)
		faults[name] = f
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *measure != "" {
		return measureKforge(ctx, speed.Config{Kforge: *measure, Command: *command, Hosts: *n, Runs: *runs}, stdout)
	}
	if *dir == "" {
		temp, err := temporary()
		if err != nil {
			return fmt.Errorf("make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
		*dir = temp
	}
	if err := empty(*dir); err != nil {
		return err
	}
	o := fleet.Options{Hosts: *n, Latency: *latency, Cold: *cold}
	if *processes {
		if o.Program, err = os.Executable(); err != nil {
			return err
		}
	}
	began := time.Now()
	f, err := fleet.New(*dir, o)
	if err != nil {
		return err
	}
	defer f.Close()
	for name, fault := range faults {
		m := f.Machine(name)
		if m == nil {
			return fmt.Errorf("break %s: no host has that name", name)
		}
		if err := m.Break(fault); err != nil {
			return fmt.Errorf("break %s: %w", name, err)
		}
	}
	fmt.Fprintf(stdout, "%d hosts are up after %s. Try, until you end this with Ctrl-C:\n", *n, time.Since(began).Round(time.Millisecond))
	for _, command := range []string{"check", "plan", "apply --yes"} {
		fmt.Fprintf(stdout, "  kforge %s -i %s\n", command, f.Inventory)
	}
	<-ctx.Done()
	return nil
}

// temporary makes a folder in memory where there is one.
func temporary() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "kforge-fleet-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "kforge-fleet-")
}

// empty makes dir, or sees that nothing is in it.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err == nil && len(found) > 0 {
		return fmt.Errorf("start fleet: %s is not empty", dir)
	}
	return err
}

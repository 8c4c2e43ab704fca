// Bench measures kforge against its goals, prints a line per figure and writes
// docs/performance.md. It has two parts: the lab, where kforge is compared with
// the shortest script for the same work, and the fleet, hundreds of hosts in one
// process, where it is compared with Ansible.
//
//	go run ./e2e/bench [-only lab|fleet] [-pairs N] [-fleet-runs N] [-out FILE] [-runs FOLDER]
//
// It runs at the top of the checkout, with bin/kforge built. Standard output
// holds the figures alone, as `NAME VALUE UNIT goal GOAL OK|SHORT`. The exit
// code is 0 when everything could be measured, whatever the verdicts. What each
// part measured last is kept in e2e/bench/results, so that the page can be
// written when one of them is measured anew.
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
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/fleet/speed"
)

func main() {
	if args := os.Args[1:]; speed.Asked(args) {
		if err := speed.Serve(args, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		stop()
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	only        string
	pairs       int
	fleetRuns   int
	out         string
	runs        string
	kforge      *kforge
	stderr      io.Writer
	description // of this run
}

// description is what figures depend on, beside what is measured.
type description struct {
	Date    string
	Kforge  string // version
	Machine machine
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o := options{stderr: stderr}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.only, "only", "", "the `part` to measure, lab or fleet; empty: both")
	flags.IntVar(&o.pairs, "pairs", 3, "lab: how many times to measure floor and kforge")
	flags.IntVar(&o.fleetRuns, "fleet-runs", 3, "fleet: how many times to measure each")
	flags.StringVar(&o.out, "out", filepath.Join("docs", "performance.md"), "the page to write; empty: none, and nothing is kept")
	flags.StringVar(&o.runs, "runs", "", "lab: folder in which the records of kforge's runs stay; empty: they go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.pairs < 1 || o.fleetRuns < 1 {
		return fmt.Errorf("read flags: -pairs %d, -fleet-runs %d: want 1 or more", o.pairs, o.fleetRuns)
	}
	if o.only != "" && o.only != "lab" && o.only != "fleet" {
		return fmt.Errorf("read flags: -only %s: want lab or fleet", o.only)
	}
	temp, err := os.MkdirTemp("", "kforge-bench-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if o.runs == "" {
		o.runs = filepath.Join(temp, "runs")
	}
	if o.kforge, err = newKforge(temp, o.runs); err != nil {
		return err
	}
	o.Date = time.Now().UTC().Format(time.DateOnly)
	if o.Machine, err = describeMachine(); err != nil {
		return err
	}
	if o.Kforge, err = o.kforge.version(ctx); err != nil {
		return err
	}
	if o.only != "fleet" {
		if err := measureLab(ctx, o, stdout); err != nil {
			return err
		}
	}
	if o.only != "lab" {
		if err := measureFleet(ctx, o, stdout); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	text, err := pageOf(results)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

// finish prints the figures of a part and keeps what was measured.
func finish(o options, stdout io.Writer, name string, part any, list []figure) error {
	for _, f := range list {
		if _, err := fmt.Fprintln(stdout, f); err != nil {
			return fmt.Errorf("print figures: %w", err)
		}
	}
	if o.out == "" {
		return nil
	}
	return keep(results, name, part)
}

// Bench measures kforge on the lab against the shortest script for the same
// work, prints a line per figure and writes docs/performance.md.
//
//	go run ./e2e/bench [-pairs N] [-out FILE] [-runs FOLDER]
//
// It runs at the top of the checkout, with bin/kforge built. Standard output
// holds the figures alone, as `NAME VALUE UNIT goal GOAL OK|SHORT`. The exit
// code is 0 when everything could be measured, whatever the verdicts.
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

	"kforge.dev/kforge/e2e/lab/site"
)

func main() {
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

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pairs := flags.Int("pairs", 3, "how many times to measure floor and kforge")
	out := flags.String("out", filepath.Join("docs", "performance.md"), "the page to write; empty: none")
	runs := flags.String("runs", "", "folder in which the records of kforge's runs stay; empty: they go")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *pairs < 1 {
		return fmt.Errorf("read flags: -pairs %d: want 1 or more", *pairs)
	}
	temp, err := os.MkdirTemp("", "kforge-bench-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if *runs == "" {
		*runs = filepath.Join(temp, "runs")
	}
	k, err := newKforge(temp, *runs)
	if err != nil {
		return err
	}
	sizes, err := agentSizes()
	if err != nil {
		return err
	}

	b := &bench{kforge: k, log: stderr}
	if b.lab, err = site.Up(ctx, b.options()); err != nil {
		return err
	}
	if err := b.warm(ctx); err != nil {
		return err
	}
	for i := range *pairs {
		fmt.Fprintf(stderr, "pair %d of %d\n", i+1, *pairs)
		if err := b.pair(ctx); err != nil {
			return fmt.Errorf("measure pair %d: %w", i+1, err)
		}
	}

	list := figures(b.pairs, sizes)
	for _, f := range list {
		if _, err := fmt.Fprintln(stdout, f); err != nil {
			return fmt.Errorf("print figures: %w", err)
		}
	}
	if *out == "" {
		return nil
	}
	m, err := describeMachine()
	if err != nil {
		return err
	}
	version, err := k.version(ctx)
	if err != nil {
		return err
	}
	text := page(report{
		Date: time.Now().UTC().Format(time.DateOnly), Kforge: version, Machine: m,
		Versions: b.lab.Versions, Figures: list, Pairs: b.pairs,
	})
	if err := os.WriteFile(*out, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

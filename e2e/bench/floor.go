package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/proc"
)

// patience with a program that was told to end.
const patience = 20 * time.Second

// Names of the floor's phases that mean something here.
const (
	floorDownload = "download (not counted)"
	floorReady    = "wait for Ready"
	floorTotal    = "total"
)

// floor runs the shortest script: on bare hosts, or with --add on a further one.
func floor(ctx context.Context, args ...string) (timing, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join("e2e", "floor", "floor.sh"), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// It has children on the hosts, which its own trap ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Run(); err != nil {
		return timing{}, fmt.Errorf("run the floor: %w", &proc.Error{Args: cmd.Args, Stderr: stdout.String() + stderr.String(), Err: err})
	}
	return parseFloor(stdout.String())
}

var floorLine = regexp.MustCompile(`^(.+?) +([0-9]+\.[0-9]+) s$`)

// parseFloor reads the lines "PHASE SECONDS s" of the floor. Its phases follow
// each other; the last line is the total.
func parseFloor(text string) (timing, error) {
	var t timing
	var at float64
	for line := range strings.Lines(text) {
		m := floorLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			return timing{}, fmt.Errorf("read the floor's times: line %q: want a phase and its seconds", line)
		}
		seconds, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return timing{}, fmt.Errorf("read the floor's times: %w", err)
		}
		switch m[1] {
		case floorDownload:
			continue
		case floorTotal:
			t.Total = seconds
			continue
		}
		t.Phases = append(t.Phases, span{m[1], at, at + seconds})
		at += seconds
		if m[1] == floorReady {
			t.Ready = at
		}
	}
	if t.Total == 0 || t.Ready == 0 {
		return timing{}, errors.New("read the floor's times: no total, or no wait for Ready")
	}
	return t, nil
}

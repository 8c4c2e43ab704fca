package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/event"
)

// agentArches are the architectures whose agents kforge carries.
var agentArches = []string{"amd64", "arm64"}

// agentSizes in bytes, by architecture, as a host stores them. They are those
// that this program was built with, from where kforge has its own.
func agentSizes() (map[string]int, error) {
	sizes := map[string]int{}
	for _, arch := range agentArches {
		a, err := agentbin.Embedded().For(arch)
		if err != nil {
			return nil, err
		}
		sizes[arch] = int(a.Size)
	}
	return sizes, nil
}

// kforge runs the program that make build made, as a user would.
type kforge struct {
	bin, inventory, runs string
}

// newKforge copies bin/kforge into folder, so that a build meanwhile does not
// change what is measured. Records of runs go to runs.
func newKforge(folder, runs string) (*kforge, error) {
	in, err := os.Open(filepath.Join("bin", "kforge"))
	if err != nil {
		return nil, fmt.Errorf("open kforge (make build makes it, at the top of the checkout): %w", err)
	}
	defer in.Close()
	k := &kforge{bin: filepath.Join(folder, "kforge"), inventory: filepath.Join("inventories", "lab.yaml"), runs: runs}
	out, err := os.OpenFile(k.bin, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return nil, fmt.Errorf("copy kforge: %w", err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return nil, errors.Join(fmt.Errorf("copy kforge: %w", err), out.Close())
	}
	if err := out.Close(); err != nil {
		return nil, fmt.Errorf("copy kforge: %w", err)
	}
	return k, nil
}

// version is the first line of `kforge version`.
func (k *kforge) version(ctx context.Context) (string, error) {
	out, err := proc.Output(ctx, k.bin, "version")
	line, _, _ := strings.Cut(out, "\n")
	return strings.TrimPrefix(line, "kforge "), err
}

// result of one run that succeeded.
type result struct {
	start, end time.Time
	memory     int64 // bytes, peak resident
	events     []event.Event
}

func (r result) seconds() float64 { return r.end.Sub(r.start).Seconds() }

func (k *kforge) apply(ctx context.Context) (result, error) {
	return k.run(ctx, "apply", k.inventory, "--yes", "-o", "json")
}

// run runs a command to its end. Every exit code but 0 is an error.
func (k *kforge) run(ctx context.Context, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, k.bin, append([]string{"--state-dir", k.runs}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, fmt.Errorf("run kforge: %w", err)
	}
	r := result{start: time.Now()}
	if err := cmd.Start(); err != nil {
		return result{}, fmt.Errorf("run kforge: %w", err)
	}
	var readErr error
	r.events, readErr = readEvents(out)
	err = cmd.Wait()
	r.end = time.Now()
	if err != nil {
		return result{}, fmt.Errorf("run kforge: %w", &proc.Error{Args: cmd.Args, Stderr: stderr.String(), Err: err})
	}
	if readErr != nil {
		return result{}, readErr
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		// Linux counts in KiB, and never less than this program had when it
		// started that one: it is small.
		r.memory = usage.Maxrss * 1024
	}
	return r, nil
}

// readEvents reads all of in, so that its writer never waits, and keeps the
// lines that are events: plan prints a table too. Progress is for screens.
func readEvents(in io.Reader) (events []event.Event, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event != "" && e.Event != event.Progress {
			events = append(events, e)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read kforge's events: %w", err)
	}
	return events, nil
}

func (r result) summary() (*event.SummaryData, error) {
	if n := len(r.events); n > 0 && r.events[n-1].Event == event.Summary && r.events[n-1].SummaryData != nil {
		return r.events[n-1].SummaryData, nil
	}
	return nil, errors.New("read kforge's events: the last one is no summary")
}

//go:build e2e

// Package e2e tests kforge on the lab: real hosts with systemd and sshd, real
// containerd, kubeadm and etcd. `make e2e` runs it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kforge.dev/kforge/pkg/event"
)

// kforge runs the program that make build made, as a user would.
type kforge struct {
	bin, root, inventory string
	state                string // for the records of runs
}

// result of one run.
type result struct {
	code   int
	events []event.Event // of -o json
	stdout string
	stderr string
}

// summary is the last event, which every run with -o json must end with.
func (r result) summary(t *testing.T) event.Event {
	t.Helper()
	if len(r.events) == 0 || r.events[len(r.events)-1].Event != event.Summary {
		t.Fatalf("the run did not end with a summary; stderr:\n%s", r.stderr)
	}
	return r.events[len(r.events)-1]
}

func newKforge(t *testing.T) *kforge {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	k := &kforge{bin: filepath.Join(root, "bin", "kforge"), root: root, inventory: filepath.Join(root, "inventories", "lab.yaml"), state: t.TempDir()}
	if _, err := os.Stat(k.bin); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return k
}

// run runs a command to its end.
func (k *kforge) run(ctx context.Context, t *testing.T, args ...string) result {
	t.Helper()
	r, err := k.watch(ctx, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// apply runs apply --yes on the lab's inventory and wants it to succeed.
func (k *kforge) apply(ctx context.Context, t *testing.T, flags ...string) event.Event {
	t.Helper()
	r := k.run(ctx, t, append([]string{"apply", k.inventory, "--yes", "-o", "json"}, flags...)...)
	if r.code != 0 {
		t.Fatalf("apply ended with %d:\n%s\nlast events:\n%s", r.code, r.stderr, lastEvents(r.events, 25))
	}
	return r.summary(t)
}

// watch runs a command; onEvent sees each JSON event as it comes and may end
// the program by a signal.
func (k *kforge) watch(ctx context.Context, onEvent func(event.Event, *os.Process), args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, k.bin, append([]string{"--state-dir", k.state}, args...)...)
	cmd.Dir = k.root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, fmt.Errorf("starting kforge: %w", err)
	}
	var r result
	var all strings.Builder
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		all.Write(lines.Bytes())
		all.WriteByte('\n')
		var e event.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event != "" {
			r.events = append(r.events, e)
			if onEvent != nil {
				onEvent(e, cmd.Process)
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{}, fmt.Errorf("running kforge: %w", err)
	}
	r.code, r.stdout, r.stderr = cmd.ProcessState.ExitCode(), all.String(), stderr.String()
	return r, nil
}

// killAt ends an apply by SIGKILL as soon as an event fits, and reports whether
// one did.
func (k *kforge) killAt(ctx context.Context, t *testing.T, fits func(event.Event) bool) bool {
	t.Helper()
	var once sync.Once
	hit := false
	_, err := k.watch(ctx, func(e event.Event, p *os.Process) {
		if fits(e) {
			once.Do(func() {
				hit = true
				if err := p.Signal(syscall.SIGKILL); err != nil {
					t.Errorf("killing kforge: %v", err)
				}
			})
		}
	}, "apply", k.inventory, "--yes", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	return hit
}

func lastEvents(events []event.Event, n int) string {
	var b strings.Builder
	for _, e := range events[max(0, len(events)-n):] {
		line, _ := json.Marshal(e) // an event that was just decoded
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}

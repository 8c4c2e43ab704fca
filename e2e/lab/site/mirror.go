package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/clock"
	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/mirror"
	"kforge.dev/kforge/e2e/lab/proc"
)

// MirrorAddress is where the hosts and this machine reach the mirror.
const MirrorAddress = host.Gateway + ":5080"

// ServeMirror serves the mirror on address until ctx ends, and on the same address the time.
func ServeMirror(ctx context.Context, o Options, address string) error {
	_, m, err := Artifacts(ctx, o)
	if err != nil {
		return err
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("serving the mirror: %w", err)
	}
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return mirror.Serve(ctx, address, m) })
	eg.Go(func() error { return clock.Serve(ctx, net.JoinHostPort(name, host.TimePort)) })
	return eg.Wait()
}

func binaryFile(state string) string { return filepath.Join(state, "lab-mirror") }
func pidFile(state string) string    { return filepath.Join(state, "mirror.pid") }
func logFile(state string) string    { return filepath.Join(state, "mirror.log") }

// startMirror starts the mirror as a process that outlives this one, unless one with the same content answers already.
func startMirror(ctx context.Context, o Options, m mirror.Mirror) error {
	answers := func(ctx context.Context) error { return hasID(ctx, m.ID) }
	if answers(ctx) == nil {
		return nil
	}
	if err := stopMirror(ctx, o.State); err != nil {
		return err
	}
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	// What the lab's inventory locked was of another build of the artifacts.
	if err := os.Remove(filepath.Join(module, "inventories", "lab.bundle.lock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting the artifacts of an earlier mirror: %w", err)
	}
	// This process may be a test: the mirror needs a program of its own.
	build := proc.Command{Args: []string{"go", "build", "-o", binaryFile(o.State), "./e2e/lab"}, Dir: module}
	if err := build.Run(ctx); err != nil {
		return err
	}
	out, err := os.Create(logFile(o.State))
	if err != nil {
		return fmt.Errorf("opening the mirror's log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(binaryFile(o.State), "mirror", "-kubernetes", o.Kubernetes, "-state", o.State, "-cache", o.Cache, "-listen", MirrorAddress, "-beside", strings.Join(o.Beside, ","))
	cmd.Dir = module
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the mirror: %w", err)
	}
	if err := os.WriteFile(pidFile(o.State), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644); err != nil {
		return errors.Join(fmt.Errorf("noting the mirror's process: %w", err), cmd.Process.Kill())
	}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("letting the mirror go: %w", err)
	}
	if err := proc.Until(ctx, time.Minute, "the mirror to answer", answers); err != nil {
		return fmt.Errorf("%w (see %s)", err, logFile(o.State))
	}
	return nil
}

// MirrorRuns tells whether a mirror, of whatever content, answers.
func MirrorRuns(ctx context.Context) bool { return hasID(ctx, "") == nil }

// hasID asks the running mirror for its ID, and compares it unless want is empty.
func hasID(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+MirrorAddress+mirror.IDPath, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(text)); want != "" && got != want {
		return fmt.Errorf("the mirror serves %s, want %s", got, want)
	}
	return nil
}

// stopMirror ends the mirror that startMirror started and removes its files.
func stopMirror(ctx context.Context, state string) error {
	text, err := os.ReadFile(pidFile(state))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("finding the mirror's process: %w", err)
	}
	if pid, convErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && convErr == nil && isMirror(pid, state) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping the mirror: %w", err)
		}
		if err := proc.Until(ctx, 10*time.Second, "the mirror to stop", func(context.Context) error {
			if isMirror(pid, state) {
				return fmt.Errorf("process %d still runs", pid)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, file := range []string{pidFile(state), logFile(state), binaryFile(state)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the mirror's files: %w", err)
		}
	}
	return nil
}

// isMirror guards against process ids that were given to somebody else since.
func isMirror(pid int, state string) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.TrimSuffix(exe, " (deleted)") == binaryFile(state)
}

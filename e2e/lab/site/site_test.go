package site

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/artifact"
)

func TestDefaults(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("KFORGE_LAB_CACHE", cache)
	state := filepath.Join(t.TempDir(), "state")
	o, err := Options{State: state}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if o.Hosts != 3 || o.Kubernetes != artifact.DefaultKubernetes || o.Cache != cache || o.Log == nil {
		t.Errorf("complete() = %+v", o)
	}
	if info, err := os.Stat(state); err != nil || !info.IsDir() {
		t.Errorf("state directory: %v, %v", info, err)
	}
}

func TestModuleRoot(t *testing.T) {
	dir, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil || !strings.HasPrefix(string(text), "module kforge.dev/kforge\n") {
		t.Errorf("moduleRoot() = %s, which is not this module: %v", dir, err)
	}
	t.Chdir(t.TempDir())
	if _, err := moduleRoot(); err == nil {
		t.Error("moduleRoot() outside of any module succeeded")
	}
}

func TestLockWaitsForItsHolder(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	unlock, err := lock(state)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error)
	go func() {
		release, err := lock(state)
		if err == nil {
			release()
		}
		got <- err
	}()
	select {
	case <-got:
		t.Fatal("two hold the lock")
	case <-time.After(50 * time.Millisecond):
	}
	unlock()
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestStopMirrorKillsNobodyElse(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	state := t.TempDir()
	if isMirror(other.Process.Pid, state) {
		t.Fatal("sleep was taken for the mirror")
	}
	if err := os.WriteFile(pidFile(state), []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := stopMirror(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(pidFile(state)); err == nil {
		t.Error("the pid file is still there")
	}
}

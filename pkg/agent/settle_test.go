package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/wire"
)

func TestSweepAgentsKeepsTheRunningAndTheNewest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := func(i int) string { return wire.AgentPrefix + fmt.Sprintf("%064d", i) }
	for i := range 7 {
		p := filepath.Join(dir, name(i))
		if err := os.WriteFile(p, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		used := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(p, used, used); err != nil {
			t.Fatal(err)
		}
	}
	others := []string{"kforge-agent-notes.txt", "kforge-agent-" + strings.Repeat("Z", 64), "kubectl"}
	for _, o := range others {
		if err := os.WriteFile(filepath.Join(dir, o), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweepAgents(dir, name(0)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false, false, true, true, true} {
		if _, err := os.Stat(filepath.Join(dir, name(i))); (err == nil) != want {
			t.Errorf("agent %d: there = %v, want %v", i, err == nil, want)
		}
	}
	for _, o := range others {
		if _, err := os.Stat(filepath.Join(dir, o)); err != nil {
			t.Errorf("%s was removed", o)
		}
	}
}

func TestRootOwned(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("needs root, as all of make test does")
	}
	dir := t.TempDir()
	p := filepath.Join(dir, "agent")
	if err := os.WriteFile(p, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if !rootOwned(p) {
		t.Errorf("%s is root's", p)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(p, link); err != nil {
		t.Fatal(err)
	}
	if rootOwned(link) {
		t.Error("a link counts as root's")
	}
	if err := os.Chown(dir, 1000, 1000); err != nil {
		t.Fatal(err)
	}
	if rootOwned(p) {
		t.Error("a file in somebody's directory counts as root's")
	}
}

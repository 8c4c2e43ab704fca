package agent_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// build makes the agent as it is shipped.
func build(t *testing.T) (path, sum string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal("no go tool")
	}
	path = filepath.Join(t.TempDir(), "kforge-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -buildid=", "-o", path, "kforge.dev/kforge/cmd/kforge-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 8<<20 {
		t.Errorf("the agent has %d bytes, want at most 8 MiB", len(raw))
	}
	return path, digest(raw)
}

func TestRealBinary(t *testing.T) {
	t.Parallel()
	path, sum := build(t)
	out, err := exec.Command(path, "version").Output()
	if err != nil || strings.TrimSpace(string(out)) != sum {
		t.Errorf("version = %q, %v, want %s", out, err, sum)
	}
	if err := exec.Command(path, "serve").Run(); err == nil {
		t.Error("serve without a mode succeeded")
	}

	h, err := resourcetest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--mode", "rw", "--root", h.Root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, in, stdout)
	if c.hello.Agent != sum || c.hello.Mode != wire.ReadWrite || c.hello.PID != cmd.Process.Pid {
		t.Errorf("hello = %+v", c.hello)
	}
	if rep := c.lock(); rep.Error != nil {
		t.Fatal(rep.Error)
	}
	content := bytes.Repeat([]byte{0, 1, 2, '\n'}, 1<<18)
	if rep := c.put(content, digest(content), int64(len(content))); rep.Error != nil {
		t.Fatal(rep.Error)
	}
	rs := []spec.Resource{
		{ID: "blob", File: &spec.File{Path: "/usr/local/bin/x", Mode: 0o755, Blob: &spec.Blob{Digest: digest(content), Size: int64(len(content)), Name: "x"}}},
		// A child that tries to speak on the agent's own streams.
		{ID: "noise", Command: &spec.Command{Argv: []string{"sh", "-c", "echo to stdout; cat; echo to stderr >&2"}}},
	}
	if rep := c.must(apply(rs...)); len(rep.Changes) != 2 {
		t.Errorf("changes = %+v", rep.Changes)
	}
	if rep := c.must(plan(rs...)); len(rep.Changes) != 0 {
		t.Errorf("plan after apply = %+v", rep.Changes)
	}
	if rep := c.must(wire.Header{Type: wire.TFacts}); rep.Facts.Kernel.Release != "6.1.0-25-amd64" {
		t.Errorf("facts = %+v", rep.Facts)
	}
	in.Close()
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("agent ended with %v, stderr %q", err, stderr.String())
	}
}

package fleet_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/cli"
)

// kforgeEnv makes this test's program kforge itself.
const kforgeEnv = "KFORGE_FLEET_KFORGE"

// asProgram is the whole life of this program where a test started it as kforge
// or as an agent.
func asProgram() {
	if code, was := fleet.AgentProcess(); was {
		os.Exit(code)
	}
	if os.Getenv(kforgeEnv) == "" {
		return
	}
	kforge := cli.Program{Agents: testAgents}
	os.Exit(kforge.Main(context.Background(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
}

func testAgents() *agentbin.Set {
	return agentbin.FromBinaries(map[string][]byte{runtime.GOARCH: []byte("the agent runs in this process")})
}

// self is this test's program.
func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// kforge is a command on the fleet, in a process of its own.
func kforge(t testing.TB, f *fleet.Fleet, args ...string) *exec.Cmd {
	t.Helper()
	dir := filepath.Dir(f.Inventory)
	c := exec.CommandContext(t.Context(), self(t), append(args, "-i", f.Inventory, "--state-dir", filepath.Join(dir, "runs"))...)
	c.Env = []string{kforgeEnv + "=1", "HOME=" + dir, "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "PATH=" + os.Getenv("PATH")}
	return c
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// finish runs a command to its end.
func finish(t testing.TB, c *exec.Cmd) result {
	t.Helper()
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errOut.String()}
}

// killAt runs a command that tells its events and kills it after the nth line;
// it reports whether the command was still there to be killed.
func killAt(t testing.TB, c *exec.Cmd, n int) bool {
	t.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for range n {
		if _, err := lines.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			break // it has ended
		}
	}
	_ = c.Process.Kill() // it may have ended
	_ = c.Wait()         // its state tells
	ws, ok := c.ProcessState.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/host"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/ssh/sshtest"
	"kforge.dev/kforge/pkg/wire"
)

// agentProgram is the real agent on a temporary root, built once.
var agentProgram []byte

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kforge-host-test")
	if err == nil {
		defer os.RemoveAll(dir)
		bin := filepath.Join(dir, "agent")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", bin, "./testdata/agent")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		} else {
			agentProgram, err = os.ReadFile(bin)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the test agent:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// machine is a host that is a folder: a real SSH server whose commands run in a
// real shell, with the folder as the agent's root.
type machine struct {
	server *sshtest.Server
	dir    string // home; the agent's directory is below it
	root   string
	key    *sshtest.Key
	env    []string
	known  string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir(), key: sshtest.MustKey(t)}
	m.root = filepath.Join(m.dir, "root")
	m.known = filepath.Join(m.dir, "known_hosts")
	if err := os.MkdirAll(filepath.Join(m.root, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.env = append(os.Environ(), "HOME="+m.dir, "KFORGE_TEST_ROOT="+m.root)
	m.server = sshtest.New(t, sshtest.Options{Accept: []string{sshtest.Anybody}, Root: "/", Handler: m.shell})
	return m
}

func (m *machine) shell(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env, cmd.Dir = m.env, m.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return 255
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		return 255
	}
	go func() {
		io.Copy(in, stdin) // ends with the session
		in.Close()
	}()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 255
	}
	return cmd.ProcessState.ExitCode()
}

func (m *machine) agentDir() string { return filepath.Join(m.dir, "agents") }

// options for connecting to m.
func (m *machine) options(t *testing.T, mode wire.Mode) host.Options {
	t.Helper()
	keyFile := filepath.Join(t.TempDir(), "key")
	m.key.Write(t, keyFile, "")
	d, err := ssh.NewDialer(ssh.Config{IdentityFiles: []string{keyFile}, KnownHosts: m.known, ConnectTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return host.Options{
		Dialer: d, Agents: agentbin.FromBinaries(map[string][]byte{runtime.GOARCH: agentProgram}),
		AgentDir: m.agentDir(), Mode: mode, AnyUser: true,
		Lock:         wire.Lock{User: "ada", Machine: "desk", PID: 42, Command: "kforge apply", Run: "r1", Since: "2026-01-02T03:04:05Z"},
		StartTimeout: 30 * time.Second,
	}
}

func (m *machine) target() ssh.Target {
	return ssh.Target{Name: "n1", Address: "127.0.0.1", User: "me", Port: m.server.Port()}
}

func (m *machine) connect(t *testing.T, o host.Options) *host.Host {
	t.Helper()
	h, err := host.Connect(t.Context(), o, m.target())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestAgentIsUploadedOnceAndThenStartedInOneSession(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.connect(t, m.options(t, wire.ReadOnly)).Close()
	first := m.server.Stats()
	if first.SFTP != 1 || first.Sessions != 3 || first.Connections != 1 {
		t.Errorf("first start: %+v, want 1 connection and 3 sessions, one of them SFTP", first)
	}
	h := m.connect(t, m.options(t, wire.ReadOnly))
	second := m.server.Stats()
	if got := second.Sessions - first.Sessions; got != 1 {
		t.Errorf("second start: %d sessions, want 1", got)
	}
	f, err := h.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Time.OffsetSeconds; d < -1 || d > 1 {
		t.Errorf("offset of our own clock: %.3f s", d)
	}
}

func TestDamagedAgentIsReplaced(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.connect(t, m.options(t, wire.ReadOnly)).Close()
	files, err := filepath.Glob(filepath.Join(m.agentDir(), "kforge-agent-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("agents on the host: %v, %v", files, err)
	}
	if err := os.Remove(files[0]); err != nil { // it may still be running
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], []byte("\x7fELF cut short"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := m.connect(t, m.options(t, wire.ReadOnly)).Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNoisyLoginShellDoesNoHarm(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.server.SetFaults(sshtest.Faults{Noise: "Welcome to n1\nyou have mail\n"})
	o := m.options(t, wire.ReadOnly)
	var said string
	o.Warn = func(_, text string) { said = text }
	if _, err := m.connect(t, o).Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said, "Welcome to n1") {
		t.Errorf("the user was told %q, want the noise", said)
	}
}

func TestReadOnlyAgentRefusesEveryChange(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	h := m.connect(t, m.options(t, wire.ReadOnly))
	_, err := h.Apply(t.Context(), wire.Apply{Resources: []spec.Resource{file("/etc/x", "1")}}, nil)
	if diag.KindOf(err) != diag.ReadOnly {
		t.Errorf("Apply = %v, want kind read-only", err)
	}
	content := []byte("blob")
	if err := h.Put(t.Context(), blob(content), bytes.NewReader(content), nil); diag.KindOf(err) != diag.ReadOnly {
		t.Errorf("Put = %v, want kind read-only", err)
	}
	if _, err := os.Stat(filepath.Join(m.root, "etc/x")); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
	// Looking still works, on the same connection.
	if changes, err := h.Plan(t.Context(), []spec.Resource{file("/etc/x", "1")}); err != nil || len(changes) != 1 {
		t.Errorf("Plan = %v, %v; want one change", changes, err)
	}
}

func TestApplyPutAndReadBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	h := m.connect(t, m.options(t, wire.ReadWrite))
	content := bytes.Repeat([]byte("kubelet"), 200_000) // over one chunk
	b := blob(content)
	r := spec.Resource{ID: "file /usr/local/bin/kubelet", File: &spec.File{Path: "/usr/local/bin/kubelet", Mode: 0o755, Blob: &b}}
	missing, err := h.Missing(t.Context(), []string{b.Digest})
	if err != nil || len(missing) != 1 {
		t.Fatalf("Missing = %v, %v", missing, err)
	}
	var sent int64
	if err := h.Put(t.Context(), b, bytes.NewReader(content), func(n int64) { sent = n }); err != nil {
		t.Fatal(err)
	}
	if sent != b.Size {
		t.Errorf("told of %d bytes, want %d", sent, b.Size)
	}
	changes, err := h.Apply(t.Context(), wire.Apply{Resources: []spec.Resource{r}, Run: "r1"}, nil)
	if err != nil || len(changes) != 1 {
		t.Fatalf("Apply = %v, %v", changes, err)
	}
	got, err := h.Read(t.Context(), "/usr/local/bin/kubelet", 7)
	if err != nil || string(got) != "kubelet" {
		t.Errorf("Read = %q, %v", got, err)
	}
	if changes, err := h.Plan(t.Context(), []spec.Resource{r}); err != nil || len(changes) != 0 {
		t.Errorf("Plan afterwards = %v, %v; want nothing", changes, err)
	}
	if h.Mutating() != 2 {
		t.Errorf("Mutating = %d, want 2", h.Mutating())
	}
}

func TestSecondOperatorLearnsWhoHoldsTheHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	first := m.connect(t, m.options(t, wire.ReadWrite))
	again := m.options(t, wire.ReadWrite)
	if _, err := host.Connect(t.Context(), again, m.target()); diag.KindOf(err) != diag.Transport || !strings.Contains(err.Error(), "an earlier agent of this run still holds the lock") {
		t.Errorf("second Connect of the same run = %v, want kind transport: it may end yet", err)
	}
	again.Lock.Run = "r2"
	_, err := host.Connect(t.Context(), again, m.target())
	if diag.KindOf(err) != diag.Locked || !strings.Contains(err.Error(), "ada") || !strings.Contains(err.Error(), "desk") {
		t.Errorf("second Connect = %v, want kind locked naming ada and desk", err)
	}
	first.Close()
	m.connect(t, m.options(t, wire.ReadWrite)) // the lock died with its holder
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	bin := func(t *testing.T, m *machine, name, script string) {
		t.Helper()
		dir := filepath.Join(m.dir, "bin")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
		m.env = append(m.env, "PATH="+dir+":"+os.Getenv("PATH"))
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, m *machine)
		kind  diag.Kind
		says  string
	}{
		{"no agent for the architecture", func(t *testing.T, m *machine) {
			bin(t, m, "uname", "echo riscv64")
		}, diag.Unsupported, "riscv64"},
		{"sudo wants a password", func(t *testing.T, m *machine) {
			bin(t, m, "id", "echo 1000")
			bin(t, m, "sudo", "echo 'sudo: a password is required' >&2; exit 1")
		}, diag.Sudo, "password"},
		{"the login shell runs nothing", func(t *testing.T, m *machine) {
			m.server.SetFaults(sshtest.Faults{RefuseExec: true})
		}, diag.Unsupported, ""},
		{"no key is accepted", func(t *testing.T, m *machine) {
			m.server.SetFaults(sshtest.Faults{RefuseAuth: true})
		}, diag.Auth, "me"},
		{"disk full during the upload", func(t *testing.T, m *machine) {
			m.server.SetFaults(sshtest.Faults{DiskBytes: 100_000})
		}, diag.NoSpace, ""},
		{"the connection is cut during the upload", func(t *testing.T, m *machine) {
			m.server.SetFaults(sshtest.Faults{CutAfter: 500_000})
		}, diag.Transport, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			tt.spoil(t, m)
			_, err := host.Connect(t.Context(), m.options(t, wire.ReadOnly), m.target())
			if diag.KindOf(err) != tt.kind {
				t.Fatalf("Connect = %v (kind %q), want kind %q", err, diag.KindOf(err), tt.kind)
			}
			if diag.HostOf(err) != "n1" || !strings.Contains(err.Error(), tt.says) || diag.Hint(err) == "" {
				t.Errorf("error %q on host %q with hint %q, want host n1, %q and a hint", err, diag.HostOf(err), diag.Hint(err), tt.says)
			}
			// Nothing half-written is left, and the next try goes on. (Before
			// sudo is asked the agent has been put there, whole.)
			if left, _ := filepath.Glob(filepath.Join(m.agentDir(), "kforge-agent-*")); len(left) != 0 && tt.kind != diag.Sudo {
				t.Errorf("left on the host: %v", left)
			}
			if tt.kind == diag.NoSpace || tt.kind == diag.Transport || tt.kind == diag.Auth {
				m.server.SetFaults(sshtest.Faults{})
				m.connect(t, m.options(t, wire.ReadOnly))
			}
		})
	}
}

// A wrong password must not hang: sudo asks again and would wait until the
// deadline of the connection.
func TestWrongSudoPasswordIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir := filepath.Join(m.dir, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"id": "echo 1000",
		"sudo": `[ "$1" = -n ] && exit 1
for try in 1 2 3; do
	printf '%s' "$4" >&2
	IFS= read -r word || { echo "sudo: $try incorrect password attempts" >&2; exit 1; }
	if [ "$word" = right ]; then shift 5; exec "$@"; fi
	echo 'Sorry, try again.' >&2
done
exit 1`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.env = append(m.env, "PATH="+dir+":"+os.Getenv("PATH"))
	o := m.options(t, wire.ReadOnly)
	o.StartTimeout = 30 * time.Second
	password := "wrong"
	o.SudoPassword = func(context.Context, string) (spec.Secret, error) { return spec.Secret(password), nil }
	_, err := host.Connect(t.Context(), o, m.target())
	if diag.KindOf(err) != diag.Sudo || !strings.Contains(err.Error(), "refused the password") || strings.Contains(err.Error(), "kforge-") || diag.Hint(err) == "" {
		t.Errorf("Connect with a wrong password = %v (%q)", err, diag.KindOf(err))
	}
	password = "right"
	m.connect(t, o)
}

func TestChangedHostKeyStopsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.connect(t, m.options(t, wire.ReadOnly)).Close()
	before := m.server.Stats().Sessions
	m.server.SetHostKey(sshtest.MustKey(t))
	_, err := host.Connect(t.Context(), m.options(t, wire.ReadOnly), m.target())
	if diag.KindOf(err) != diag.HostKey || diag.Hint(err) == "" {
		t.Errorf("Connect = %v, want kind host-key with a hint", err)
	}
	if got := m.server.Stats().Sessions; got != before {
		t.Errorf("%d sessions were opened", got-before)
	}
}

func TestCutConnectionFailsWhatIsWaiting(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	h := m.connect(t, m.options(t, wire.ReadWrite))
	done := make(chan error, 1)
	started := make(chan struct{}, 1)
	go func() {
		_, err := h.Apply(t.Context(), wire.Apply{Resources: []spec.Resource{{
			ID:      "command wait",
			Command: &spec.Command{Argv: []string{"/bin/sh", "-c", "echo begun; exec sleep 60"}},
		}}}, func(e wire.Event) {
			if e.Output == "begun" {
				started <- struct{}{}
			}
		})
		done <- err
	}()
	select {
	case <-started:
	case err := <-done:
		t.Fatalf("the command ended: %v", err)
	}
	m.server.Cut()
	if err := <-done; !diag.KindOf(err).Retryable() {
		t.Errorf("Apply = %v, want an error that can be retried", err)
	}
	if h.Alive() {
		t.Error("the host still counts as alive")
	}
}

func TestCancelReachesTheHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	h := m.connect(t, m.options(t, wire.ReadWrite))
	ctx, cancel := context.WithCancel(t.Context())
	start := time.Now()
	_, err := h.Apply(ctx, wire.Apply{Resources: []spec.Resource{{
		ID:      "command wait",
		Command: &spec.Command{Argv: []string{"/bin/sh", "-c", "echo begun; exec sleep 60"}},
	}}}, func(e wire.Event) {
		if e.Output == "begun" {
			cancel()
		}
	})
	if diag.KindOf(err) != diag.Canceled {
		t.Errorf("Apply = %v, want kind canceled", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s: the command was waited for", took)
	}
	if _, err := h.Facts(t.Context()); err != nil {
		t.Errorf("the agent does not go on: %v", err)
	}
}

func file(path, content string) spec.Resource {
	return spec.Resource{ID: "file " + path, File: &spec.File{Path: path, Mode: 0o644, Content: []byte(content)}}
}

func blob(content []byte) spec.Blob {
	sum := sha256.Sum256(content)
	return spec.Blob{Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(content)), Name: "test blob"}
}

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/agent/netprobe"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/wire"
)

// What kforge's launcher tells: the agent's digest for this architecture, and
// the mode.
var (
	launched = regexp.MustCompile(`\ba=` + runtime.GOARCH + `; n=` + wire.AgentPrefix + `([0-9a-f]{64});`)
	modeOf   = regexp.MustCompile(`serve --mode (ro|rw)\b`)
)

// exitNeedUpload is the launcher's code for "no usable agent here".
const exitNeedUpload = 121

var errKilled = errors.New("killed")

// exec runs kforge's launcher and, on a fleet with a shell, what else it is
// given; that sees this machine and not the host's folder.
func (m *Machine) exec(ctx context.Context, cmd string, stdin io.Reader, stdout, stderr io.Writer) int {
	name, mode := launched.FindStringSubmatch(cmd), modeOf.FindStringSubmatch(cmd)
	if name == nil || mode == nil {
		if m.shell != nil {
			return m.shell(ctx, cmd, stdin, stdout, stderr)
		}
		fmt.Fprintln(stderr, "sh: command not found")
		return 127
	}
	if m.cold && !m.installed(name[1]) {
		return m.need(stdout, stderr)
	}
	m.begin()
	defer m.end()
	if code := m.now().Exit["kforge-agent"]; code != 0 {
		fmt.Fprintln(stderr, "kforge-agent: out of order")
		return code
	}
	if m.program != "" {
		return m.process(ctx, processConfig{
			Root: m.Root, Mode: wire.Mode(mode[1]), Digest: "sha256:" + name[1], Uptime: m.Host.Uptime(), Ahead: m.now().ClockAhead, Slow: m.now().Slow,
		}, stdin, stdout, stderr)
	}
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	// The agent closes its input when it dies; the session behind has to live on
	// for its exit status. The copy ends with the session.
	in, feed := io.Pipe()
	m.copies.Go(func() {
		_, err := io.Copy(feed, &fed{m, stdin, kill, nil})
		feed.CloseWithError(err)
	})
	defer in.Close()
	err := agent.Serve(ctx, agent.Options{
		Root: m.Root, Mode: wire.Mode(mode[1]), Digest: "sha256:" + name[1], Log: stderr,
		Runner: &runner{m, kill}, Uptime: m.Host.Uptime, Facts: m.facts,
		Euid: func() int { return 0 }, // of its own folder the host is root
		Now:  func() time.Time { return time.Now().Add(m.now().ClockAhead) },
		Free: m.free, Sync: slowly(m.Root, func() time.Duration { return m.now().Slow }),
		Resolver: m.names.resolver(),
		Seen:     func(ctx context.Context, h wire.Header) { m.seen(ctx, h, kill) },
	}, in, &mortal{ctx, stdout})
	switch {
	case errors.Is(context.Cause(ctx), errKilled):
		return killed
	case err != nil && !errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "kforge-agent:", err)
		return 1
	}
	return 0
}

const binDir = record.StateDir + "/bin"

func (m *Machine) installed(digest string) bool {
	fi, err := os.Stat(filepath.Join(m.Root, binDir, wire.AgentPrefix+digest))
	return err == nil && fi.Mode().IsRegular()
}

// need asks for the upload of an agent.
func (m *Machine) need(stdout, stderr io.Writer) int {
	if err := os.MkdirAll(filepath.Join(m.Root, binDir), 0o700); err != nil {
		fmt.Fprintln(stderr, "mkdir:", err)
		return 1
	}
	fmt.Fprintf(stdout, "KFORGE-NEED %s 0 %s\n", runtime.GOARCH, binDir)
	return exitNeedUpload
}

// free is what the disk says.
func (m *Machine) free(string) (uint64, error) {
	f := m.now()
	time.Sleep(f.Slow)
	if f.DiskFull {
		return 0, nil
	}
	return 150 << 30, nil
}

// slowly measures the disk below root. How long it took is that of a good disk
// and what a slow one takes beside it: all hosts share this machine's, and its CPU.
func slowly(root string, slow func() time.Duration) func(context.Context, wire.Sync) (*facts.SyncTimes, error) {
	return func(ctx context.Context, s wire.Sync) (*facts.SyncTimes, error) {
		t, err := netprobe.Sync(ctx, s, root, record.StateDir)
		if err != nil {
			return nil, err
		}
		took := (time.Millisecond + slow()).Seconds()
		t.Median, t.P99, t.Max = took, took, took
		return t, nil
	}
}

// seen counts a request and kills the agent when its hour has come.
func (m *Machine) seen(ctx context.Context, h wire.Header, kill context.CancelCauseFunc) {
	m.mu.Lock()
	hold := m.faults.HoldRequest
	m.requests[h.Type]++
	if h.Type != wire.TPing { // those come with time
		m.last = time.Now()
		m.frames++
		if m.due(m.faults.KillAtRequest, m.frames) {
			kill(errKilled)
		}
	}
	m.mu.Unlock()
	if hold != nil {
		hold(ctx, h)
	}
}

// due tells whether an agent dies at this count. m.mu is held.
func (m *Machine) due(at, count int) bool {
	return at > 0 && (count == at || count > at && !m.faults.Once)
}

// runner runs the host's programs, with its faults.
type runner struct {
	m    *Machine
	kill context.CancelCauseFunc
}

func (r *runner) Run(ctx context.Context, c resource.Cmd) (resource.Result, error) {
	m := r.m
	m.mu.Lock()
	m.programs++
	f, die := m.faults, m.due(m.faults.KillAtProgram, m.programs)
	m.mu.Unlock()
	if die {
		r.kill(errKilled)
		<-ctx.Done()
		return resource.Result{}, context.Cause(ctx)
	}
	if f.Slow > 0 {
		t := time.NewTimer(f.Slow)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return resource.Result{}, context.Cause(ctx)
		}
	}
	name := filepath.Base(c.Argv[0])
	if f.Hold != nil {
		f.Hold(ctx, name)
	}
	code := f.Exit[name]
	if len(c.Argv) > 1 && code == 0 {
		code = f.Exit[name+" "+c.Argv[1]]
	}
	if code != 0 {
		text := name + ": out of order"
		if c.Line != nil {
			c.Line(text)
		}
		return resource.Result{Code: code, Stderr: text}, nil
	}
	return m.Host.Run(ctx, c)
}

// mortal is an agent's output, which ends with the agent.
type mortal struct {
	ctx context.Context
	w   io.Writer
}

func (o *mortal) Write(p []byte) (int, error) {
	if errors.Is(context.Cause(o.ctx), errKilled) {
		return 0, errKilled
	}
	return o.w.Write(p)
}

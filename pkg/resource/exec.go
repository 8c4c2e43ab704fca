package resource

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// maxOutput bounds what is kept of each stream of a command, in bytes.
const maxOutput = 4 << 20

// SearchPath is where commands are looked for, whatever the login says.
const SearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Cmd is a program to run. Argv goes to the kernel as it is: no shell.
type Cmd struct {
	Argv  []string
	Env   []string  // added to PATH, HOME and LC_ALL=C
	Stdin io.Reader // nil is /dev/null
	// Line is called with each line of output as it comes, stdout and stderr
	// alike, from one goroutine at a time. It may be nil.
	Line func(string)
}

// Result is what a program left. Of very long output only the start is kept.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status; 128 + signal when a signal ended it
}

// Runner runs programs. The error tells that the program could not be started
// or that the context ended it; an exit status is not an error. When the
// context ends, the program and its children are gone before Run returns.
type Runner interface {
	Run(ctx context.Context, c Cmd) (Result, error)
}

// Exec is the Runner of real hosts. Children run in a process group of their
// own: SIGTERM first, SIGKILL after Grace.
type Exec struct {
	Grace time.Duration // 0 means 5 s
}

var _ Runner = Exec{}

// Run implements Runner.
func (e Exec) Run(ctx context.Context, c Cmd) (Result, error) {
	if len(c.Argv) == 0 {
		return Result{}, diag.New(diag.Invalid, "run command", "empty argv")
	}
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("running %s: %w", c.Argv[0], context.Cause(ctx))
	}
	grace := e.Grace
	if grace == 0 {
		grace = 5 * time.Second
	}
	var out, errOut capped
	lines := &lineWriter{line: c.Line}
	path, err := lookPath(c.Argv[0])
	if err != nil {
		return Result{}, err
	}
	cmd := exec.Command(path, c.Argv[1:]...)
	cmd.Args[0] = c.Argv[0]
	cmd.Env = append([]string{"PATH=" + SearchPath, "HOME=/root", "LC_ALL=C"}, c.Env...)
	cmd.Dir = "/"
	cmd.Stdin = c.Stdin
	cmd.Stdout, cmd.Stderr = io.Writer(&out), io.Writer(&errOut)
	if c.Line != nil {
		pr, pw := io.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); lines.read(pr) }()
		defer func() { pw.Close(); <-done }()
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, pw), io.MultiWriter(&errOut, pw)
	}
	// A child must not outlive an agent that was killed: the next one would
	// find a kubeadm at work that nobody watches.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	// A grandchild that keeps the pipes open must not keep us.
	cmd.WaitDelay = grace + time.Second
	started, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		// To the kernel the parent is the thread, so that it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			waited <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return Result{}, startError(c.Argv[0], err)
	}
	var werr error
	select {
	case werr = <-waited:
	case <-ctx.Done():
		werr = stop(cmd.Process.Pid, grace, waited)
	}
	res := Result{Stdout: out.String(), Stderr: errOut.String(), Code: exitCode(cmd.ProcessState)}
	if ctx.Err() != nil {
		return res, fmt.Errorf("running %s: %w", c.Argv[0], context.Cause(ctx))
	}
	var ee *exec.ExitError
	if werr != nil && !errors.As(werr, &ee) && !errors.Is(werr, exec.ErrWaitDelay) {
		return res, fmt.Errorf("running %s: %w", c.Argv[0], werr)
	}
	return res, nil
}

// lookPath finds a program on SearchPath; the environment of the login is not
// to be trusted.
func lookPath(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range strings.Split(SearchPath, ":") {
		p := dir + "/" + name
		if fi, err := os.Stat(p); err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", diag.New(diag.NotFound, "start "+name, "not found on %s", SearchPath)
}

// stop ends a process group and waits for its leader.
func stop(pid int, grace time.Duration, waited <-chan error) error {
	syscall.Kill(-pid, syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case err := <-waited:
		// The leader is gone; what it left in its group must not live on.
		syscall.Kill(-pid, syscall.SIGKILL)
		return err
	case <-t.C:
		syscall.Kill(-pid, syscall.SIGKILL)
		return <-waited
	}
}

func startError(name string, err error) error {
	kind := diag.Command
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = diag.NotFound
	case errors.Is(err, os.ErrPermission):
		kind = diag.Permission
	}
	return diag.Wrap(kind, "start "+name, err)
}

func exitCode(ps *os.ProcessState) int {
	if ps == nil {
		return -1
	}
	if ws, ok := ps.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ps.ExitCode()
}

// capped keeps the first maxOutput bytes and swallows the rest.
type capped struct{ b bytes.Buffer }

func (c *capped) Write(p []byte) (int, error) {
	if room := maxOutput - c.b.Len(); room > 0 {
		c.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (c *capped) String() string { return c.b.String() }

// lineWriter splits what it reads into lines.
type lineWriter struct{ line func(string) }

func (l *lineWriter) read(r *io.PipeReader) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		s, err := br.ReadSlice('\n')
		if len(s) > 0 {
			l.line(strings.ToValidUTF8(strings.TrimRight(string(s), "\r\n"), "?"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// run runs a program that must succeed, and makes an error of what it printed
// when it does not.
func run(ctx context.Context, r Runner, argv ...string) (string, error) {
	res, err := r.Run(ctx, Cmd{Argv: argv})
	if err != nil {
		return res.Stdout, err
	}
	if res.Code != 0 {
		return res.Stdout, failed(argv, res)
	}
	return res.Stdout, nil
}

func failed(argv []string, res Result) *diag.Error {
	said := lastLines(strings.TrimSpace(res.Stderr+"\n"+res.Stdout), 30)
	return diag.New(diag.Command, strings.Join(argv, " "), "exit status %d: %s", res.Code, said)
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// An agent may be a process of its own, which SIGKILL ends between any two
// instructions: its lock goes with it, and its files stay as they were at that
// moment. The programs of the host are acted by the fleet all the same: the
// process asks for them over a socket.

// killed is the exit code by which a handler of sshtest tells of SIGKILL.
const killed = -int(unix.SIGKILL)

// process runs an agent as a process, until it ends.
func (m *Machine) process(ctx context.Context, c processConfig, stdin io.Reader, stdout, stderr io.Writer) int {
	ours, theirs, err := socketpair()
	if err != nil {
		fmt.Fprintln(stderr, "sh:", err)
		return 126
	}
	defer ours.Close()
	config, err := json.Marshal(c)
	if err != nil {
		theirs.Close()
		fmt.Fprintln(stderr, "sh:", err)
		return 126
	}
	cmd := exec.Command(m.program)
	cmd.Env = []string{processEnv + "=" + string(config), "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdout, stderr, []*os.File{theirs}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	theirs.Close()
	if err != nil {
		fmt.Fprintln(stderr, "sh:", err)
		return 127
	}
	ctx, cancel := context.WithCancelCause(ctx)
	kill := func(cause error) {
		_ = cmd.Process.Kill() // it may have ended by itself
		cancel(cause)
	}
	// A session that ends closes the agent's input, as sshd does.
	stop := context.AfterFunc(ctx, func() { in.Close() })
	defer stop()
	m.copies.Go(func() {
		_, _ = io.Copy(in, &fed{m, stdin, kill, cmd.Process}) // either side may go first
		in.Close()
	})
	server := rpc.NewServer()
	if err := server.RegisterName(rpcName, &Stage{ctx: ctx, runner: &runner{m, kill}, running: map[uint64]context.CancelFunc{}}); err != nil {
		kill(err) // a defect of Stage
	}
	var serving sync.WaitGroup
	serving.Go(func() { server.ServeConn(ours) })
	err = cmd.Wait()
	cancel(errKilled) // as the kernel ends its children
	ours.Close()
	serving.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return -int(ws.Signal())
		}
		return exit.ExitCode()
	}
	fmt.Fprintln(stderr, "sh:", err)
	return 126
}

// socketpair gives both ends of a socket; the second one is for a child.
func socketpair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	a, b := os.NewFile(uintptr(fds[0]), "stage"), os.NewFile(uintptr(fds[1]), "stage")
	defer a.Close() // the connection has a copy
	conn, err := net.FileConn(a)
	if err != nil {
		b.Close()
		return nil, nil, err
	}
	return conn, b, nil
}

// fed is an agent's input, which counts what the agent is given.
type fed struct {
	m    *Machine
	r    io.Reader
	kill context.CancelCauseFunc
	own  *os.Process // of the agent; nil when it is in this process
}

func (f *fed) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.m.mu.Lock()
	before := f.m.fed
	f.m.fed += int64(n)
	at, once := f.m.faults.KillAfter, f.m.faults.Once
	if stop := f.m.faults.StopAfter; stop > 0 && f.own != nil && f.m.fed >= stop {
		if f.own.Signal(syscall.SIGSTOP) == nil {
			f.m.stopped = append(f.m.stopped, f.own)
		}
	}
	f.m.mu.Unlock()
	if at > 0 && before+int64(n) >= at && (before < at || !once) {
		f.kill(errKilled)
	}
	return n, err
}

// resume lets agents go on that were stopped. m.mu is held.
func (m *Machine) resume() {
	for _, p := range m.stopped {
		_ = p.Signal(syscall.SIGCONT) // it may have been killed
	}
	m.stopped = nil
}

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/e2e/lab/proc"
)

// terminal is a run of kforge on a terminal of its own, with somebody at it.
type terminal struct {
	cmd           *exec.Cmd
	person, slave *os.File // both ends
	read          sync.WaitGroup

	mu    sync.Mutex
	shown bytes.Buffer
}

// terminal starts a command on a new pseudo-terminal.
func (k *kforge) terminal(ctx context.Context, t *testing.T, args ...string) *terminal {
	t.Helper()
	person, slave, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{cmd: exec.CommandContext(ctx, k.bin, append([]string{"--state-dir", k.state, "--progress", "plain"}, args...)...), person: person, slave: slave}
	term.cmd.Dir = k.root
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term.read.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			term.mu.Lock()
			term.shown.Write(buf[:n])
			term.mu.Unlock()
			if err != nil { // EIO once the last one has left the other end
				return
			}
		}
	})
	return term
}

func openTerminal() (person, slave *os.File, err error) {
	person, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	fd := int(person.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err == nil {
			slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
		}
	}
	if err != nil {
		person.Close()
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	return person, slave, nil
}

// screen is all that was shown so far.
func (p *terminal) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// expect waits until a text was shown.
func (p *terminal) expect(ctx context.Context, t *testing.T, text string) {
	t.Helper()
	err := proc.Until(ctx, time.Minute, fmt.Sprintf("%q on the screen", text), func(context.Context) error {
		if strings.Contains(p.screen(), text) {
			return nil
		}
		return fmt.Errorf("it shows:\n%s", p.screen())
	})
	if err != nil {
		p.cmd.Process.Kill()
		p.wait(t)
		t.Fatal(err)
	}
}

// echoes tells whether the terminal shows what is typed.
func (p *terminal) echoes(t *testing.T) bool {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode.Lflag&unix.ECHO != 0
}

func (p *terminal) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := p.person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// wait gives the exit code and closes the terminal.
func (p *terminal) wait(t *testing.T) (code int, echoes bool) {
	t.Helper()
	p.cmd.Wait() // its error is the exit code
	echoes = p.echoes(t)
	p.slave.Close()
	p.read.Wait()
	p.person.Close()
	return p.cmd.ProcessState.ExitCode(), echoes
}

// Package proc runs programs on this machine and turns their failures into errors that say what was run and what it said.
package proc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command is one program to run. The zero values of all but Args mean: this process's directory and environment, no input.
type Command struct {
	Args   []string  // program and its arguments
	Dir    string    // working directory
	Env    []string  // added to this process's environment, KEY=value
	Stdin  io.Reader // nil: empty
	Stdout io.Writer // nil: collected, and returned by Output
	Stderr io.Writer // nil: collected, and put into the error
}

// Error tells which program failed and the end of what it printed to stderr.
type Error struct {
	Args   []string
	Stderr string
	Err    error // *exec.ExitError, or why it could not be started
}

func (e *Error) Error() string {
	msg := fmt.Sprintf("running %s: %v", abbreviate(strings.Join(e.Args, " "), 200), e.Err)
	if e.Stderr != "" {
		msg += ": " + e.Stderr
	}
	return msg
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs c to its end.
func (c Command) Run(ctx context.Context) error {
	_, err := c.Output(ctx)
	return err
}

// Output runs c to its end and returns its stdout, unless c.Stdout took it.
func (c Command) Output(ctx context.Context) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin = c.Stdin
	cmd.Stdout, cmd.Stderr = io.Writer(&stdout), io.Writer(&stderr)
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	// A grandchild that inherited the pipes must not keep us waiting after the program was killed.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return stdout.Bytes(), &Error{Args: c.Args, Stderr: tail(stderr.String(), 2000), Err: err}
	}
	return stdout.Bytes(), nil
}

// Run runs the program args to its end.
func Run(ctx context.Context, args ...string) error { return Command{Args: args}.Run(ctx) }

// Output runs the program args to its end and returns its stdout without surrounding white space.
func Output(ctx context.Context, args ...string) (string, error) {
	out, err := Command{Args: args}.Output(ctx)
	return strings.TrimSpace(string(out)), err
}

func abbreviate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}

// tail keeps the last n bytes: the reason of a failure stands at the end.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) <= n {
		return s
	}
	return "..." + s[len(s)-n:]
}

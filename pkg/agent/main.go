package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/wire"
)

// Exit codes of the agent. 126 and 127 are the shell's: not executable, and not
// there.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

const usage = `usage: kforge-agent serve --mode ro|rw [--root DIR]
       kforge-agent version

kforge starts this program on hosts by itself.
`

// selfExe is the running program, also when its file was replaced or removed.
const selfExe = "/proc/self/exe"

// Main is the program. It gives the exit code.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "version":
		digest, err := digestOf(selfExe)
		if err != nil {
			fmt.Fprintf(stderr, "kforge-agent: %v\n", err)
			return exitError
		}
		fmt.Fprintln(stdout, digest)
		return exitOK
	case "serve":
		return serve(ctx, args[1:], stdin, stdout, stderr)
	}
	fmt.Fprint(stderr, usage)
	return exitUsage
}

func serve(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	mode := flags.String("mode", "", "ro (changes nothing) or rw")
	root := flags.String("root", "/", "directory that is the host's root")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 || *mode != string(wire.ReadOnly) && *mode != string(wire.ReadWrite) {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	// Directories are made with the modes that are asked for.
	unix.Umask(0o022)
	digest, err := digestOf(selfExe)
	if err == nil && *root == "/" {
		err = settle(digest, wire.Mode(*mode), stderr)
	}
	if err != nil {
		fmt.Fprintf(stderr, "kforge-agent: %v\n", err)
		return exitError
	}
	if stdin == os.Stdin && stdout == os.Stdout {
		in, out, err := replumb()
		if err != nil {
			fmt.Fprintf(stderr, "kforge-agent: %v\n", err)
			return exitError
		}
		stdin, stdout = in, out
	}
	err = Serve(ctx, Options{Root: *root, Mode: wire.Mode(*mode), Digest: digest, Log: stderr}, stdin, stdout)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(stderr, "kforge-agent: %v\n", err)
		return exitError
	}
	return exitOK
}

// replumb moves the stream to descriptors that no child can know: 0 becomes
// /dev/null, and 1 becomes stderr, so that a stray print harms nothing.
func replumb() (in, out *os.File, err error) {
	dup := func(fd int, name string) (*os.File, error) {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, fmt.Errorf("moving %s: %w", name, err)
		}
		return os.NewFile(uintptr(n), name), nil
	}
	if in, err = dup(0, "stdin"); err != nil {
		return nil, nil, err
	}
	if out, err = dup(1, "stdout"); err != nil {
		return nil, nil, err
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening %s: %w", os.DevNull, err)
	}
	if err := unix.Dup3(null, 0, 0); err != nil {
		return nil, nil, fmt.Errorf("closing stdin: %w", err)
	}
	target := 2
	if _, err := unix.FcntlInt(2, unix.F_GETFD, 0); errors.Is(err, syscall.EBADF) {
		target = null
	}
	if err := unix.Dup3(target, 1, 0); err != nil {
		return nil, nil, fmt.Errorf("closing stdout: %w", err)
	}
	return in, out, unix.Close(null)
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading own program: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading own program: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

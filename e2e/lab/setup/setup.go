// Package setup makes this machine able to run the lab: the Debian packages it needs, and a Docker engine that answers.
package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/proc"
)

// tool is something the lab needs and the Debian package that brings it.
type tool struct {
	Package string
	Program string // looked up on PATH
	File    string // or a file that must exist
}

var tools = []tool{
	{Package: "docker.io", Program: "dockerd"},
	{Package: "docker.io", Program: "docker"},
	{Package: "mmdebstrap", Program: "mmdebstrap"},
	{Package: "iptables", Program: "iptables"},
	{Package: "iproute2", Program: "ip"},
	{Package: "nftables", Program: "nft"}, // of a unit test
	{Package: "openssh-client", Program: "ssh"},
	{Package: "gcc", Program: "gcc"},
	{Package: "libc6-dev", File: "/usr/include/stdlib.h"},
	{Package: "libseccomp-dev", File: "/usr/include/seccomp.h"},
	{Package: "pkg-config", Program: "pkg-config"},
	{Package: "patch", Program: "patch"},       // of a unit test
	{Package: "chromium", Program: "chromium"}, // opens kforge's report
	{Package: "fonts-dejavu-core", File: "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"},
}

// Machine installs what is missing and starts Docker when it does not answer. Docker's log goes to dockerd.log in stateDir.
func Machine(ctx context.Context, stateDir string, log io.Writer) error {
	if err := ensure(ctx, tools, log); err != nil {
		return err
	}
	if dockerAnswers(ctx) == nil {
		return nil
	}
	fmt.Fprintln(log, "starting dockerd")
	return startDocker(ctx, stateDir)
}

// ensure installs the packages of tools that are not there.
func ensure(ctx context.Context, tools []tool, log io.Writer) error {
	packages := missing(tools)
	if len(packages) == 0 {
		return nil
	}
	fmt.Fprintf(log, "installing %s\n", strings.Join(packages, " "))
	return install(ctx, packages)
}

// missing lists the packages of the tools that are not there, each once.
func missing(tools []tool) []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range tools {
		var err error
		if t.Program != "" {
			_, err = exec.LookPath(t.Program)
		} else {
			_, err = os.Stat(t.File)
		}
		if err != nil && !seen[t.Package] {
			seen[t.Package] = true
			out = append(out, t.Package)
		}
	}
	return out
}

func install(ctx context.Context, packages []string) error {
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := (proc.Command{Args: []string{"apt-get", "update", "-qq"}, Env: env}).Run(ctx); err != nil {
		return err
	}
	args := append([]string{"apt-get", "install", "-qq", "-y", "--no-install-recommends"}, packages...)
	return proc.Command{Args: args, Env: env}.Run(ctx)
}

func dockerAnswers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := proc.Output(ctx, "docker", "info", "--format", "{{.ServerVersion}}")
	return err
}

// startDocker starts dockerd in a session of its own, so that it outlives this program, and waits until it answers.
func startDocker(ctx context.Context, stateDir string) error {
	if err := os.MkdirAll(stateDir, 0o755); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	logFile := filepath.Join(stateDir, "dockerd.log")
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of dockerd: %w", err)
	}
	defer out.Close()
	cmd := exec.Command("dockerd")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting dockerd: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("letting dockerd go: %w", err)
	}
	if err := proc.Until(ctx, time.Minute, "docker to answer", dockerAnswers); err != nil {
		return fmt.Errorf("%w (see %s)", err, logFile)
	}
	return nil
}

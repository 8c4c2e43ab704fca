package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/proc"
)

// bootTime is far above the 12 to 20 s that a boot takes: the machine may be busy.
const bootTime = 150 * time.Second

// boot starts the kernel under its own name: a reboot executes argv[0] again, in the same process, and what the kernel left open
// must be closed then, or its network link is busy.
const boot = `#!/bin/bash
for fd in /proc/self/fd/*; do
	fd=${fd##*/}
	if ((fd > 2 && fd < 255)); then exec {fd}>&-; fi
done
exec -a "$0" ` + artifact.UMLKernel + ` "$@"
`

// args are the program that boots the kernel, and the kernel's command line.
// gro=1 lets the link carry the large frames that this machine sends; without it they are lost, and uploads crawl at 20 kB/s.
func (m *machine) args(c config) []string {
	args := []string{m.file("boot")}
	for i, disk := range c.Disks {
		args = append(args, fmt.Sprintf("ubd%d=%s", i, m.file(disk)))
	}
	return append(args,
		"root=/dev/ubda", "rw", "mem="+c.Memory, "net.ifnames=0",
		fmt.Sprintf("vec0:transport=tap,ifname=%s,gro=1,mac=02:42:0a:58:11:%02x", m.tap(), 30+m.index),
		"con=null", "con0=null,fd:1", "uml_dir="+m.dir+"/", "umid=run",
	)
}

// Start boots the machine as a process that outlives this one.
func (m *machine) Start(ctx context.Context) error {
	if running, err := m.Running(ctx); err != nil || running {
		return err
	}
	text, err := os.ReadFile(m.file("config.json"))
	if err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	if err := m.plug(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(m.file("run")); err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	if err := os.WriteFile(m.file("boot"), []byte(boot), 0o755); err != nil {
		return fmt.Errorf("starting %s: %w", m.name, err)
	}
	// The process id holds until the power goes.
	script := `echo $$ >"$1"; log=$2; shift 2; exec "$@" </dev/null >>"$log" 2>&1`
	args := append([]string{"setsid", "--fork", "sh", "-euc", script, "sh", m.file("pid"), m.file("console.log")}, m.args(c)...)
	command := proc.Command{Args: args}
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		command.Env = []string{"TMPDIR=/dev/shm"} // the machine's memory is a file there, deleted at once
	}
	if err := command.Run(ctx); err != nil {
		return err
	}
	return proc.Until(ctx, 10*time.Second, m.name+" to be powered on", func(ctx context.Context) error {
		if running, err := m.Running(ctx); err != nil || running {
			return err
		}
		return fmt.Errorf("it does not run (see %s)", m.file("console.log"))
	})
}

// pid is the machine's process, 0 when it is off. It is also that of its process group, which holds all its processes.
func (m *machine) pid() (int, error) {
	text, err := os.ReadFile(m.file("pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("finding the process of %s: %w", m.name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, nil // being written
	}
	// Process ids are given to others again: it must be one with this directory.
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), "uml_dir="+m.dir+"/") {
		return 0, nil
	}
	return pid, nil
}

func (m *machine) Running(context.Context) (bool, error) {
	pid, err := m.pid()
	return pid != 0, err
}

func (m *machine) Kill(ctx context.Context) error {
	pid, err := m.pid()
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending %s: %w", m.name, err)
	}
	return proc.Until(ctx, 10*time.Second, m.name+" to end", func(context.Context) error {
		if pid, err := m.pid(); err != nil || pid == 0 {
			return err
		}
		return fmt.Errorf("process %d still runs", pid)
	})
}

// Reboot returns when the kernel that ran is gone and the next one answers.
func (m *machine) Reboot(ctx context.Context) error {
	before, err := m.host.Exec(ctx, "cat", bootID)
	if err != nil {
		return err
	}
	// The connection may end before the answer comes, so the answer tells nothing.
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, asked := m.host.Exec(short, "systemctl", "reboot", "--no-block")
	return proc.Until(ctx, bootTime, m.name+" to boot again", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		after, err := m.host.Exec(ctx, "cat", bootID)
		if err != nil {
			return err
		}
		if after == before {
			return errors.Join(errors.New("it has not gone down yet"), asked)
		}
		return nil
	})
}

const bootID = "/proc/sys/kernel/random/boot_id"

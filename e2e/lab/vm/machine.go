package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

// bootTime is far above the 12 to 20 s that a boot takes: the machine may be busy.
const bootTime = 150 * time.Second

// machine is a User-mode Linux: one process with its children, a directory with its disks, and a tap on the hosts' bridge.
type machine struct {
	name  string
	index int
	dir   string
	lab   *host.Lab
	host  *host.Host
}

// config is what a machine was made with, kept in its directory.
type config struct {
	Memory string
	Disks  []string // file names, the system's first
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }

// tap is the machine's end of the network link. The kernel allows names of 15 bytes.
func (m *machine) tap() string { return "kforge-" + m.name }

// args are the kernel and its command line.
func (m *machine) args(c config) []string {
	args := []string{artifact.UMLKernel}
	for i, disk := range c.Disks {
		args = append(args, fmt.Sprintf("ubd%d=%s", i, m.file(disk)))
	}
	return append(args,
		"root=/dev/ubda", "rw", "mem="+c.Memory, "net.ifnames=0",
		fmt.Sprintf("vec0:transport=tap,ifname=%s,mac=02:42:0a:58:11:%02x", m.tap(), 30+m.index),
		"con=null", "con0=null,fd:1", "uml_dir="+m.dir+"/", "umid=run",
	)
}

// ensure makes the machine's directory if it is not there. One that could not be made whole is removed.
func (m *machine) ensure(ctx context.Context, image string, o Options) error {
	if _, err := os.Stat(m.file("config.json")); err == nil {
		return nil
	}
	if err := m.make(ctx, image, o); err != nil {
		return errors.Join(err, os.RemoveAll(m.dir))
	}
	return nil
}

func (m *machine) make(ctx context.Context, image string, o Options) error {
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	c := config{Memory: o.Memory, Disks: []string{"root.ext4"}}
	if err := proc.Run(ctx, "cp", "--sparse=always", image, m.file("root.ext4")); err != nil {
		return err
	}
	for i := range o.Disks.Count {
		disk := fmt.Sprintf("disk%d", i+1)
		if err := proc.Run(ctx, "truncate", "--size="+o.Disks.Size, m.file(disk)); err != nil {
			return err
		}
		c.Disks = append(c.Disks, disk)
	}
	files, err := m.identity()
	if err != nil {
		return err
	}
	if err := writeInto(ctx, m.file("root.ext4"), files); err != nil {
		return err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	// Last: a machine with a config is whole.
	return os.WriteFile(m.file("config.json"), text, 0o644)
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
	// A reboot executes the same program again in the same process, so the process id holds until the power goes.
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

// plug puts the machine's tap into the bridge.
func (m *machine) plug(ctx context.Context) error {
	bridge, err := m.lab.Bridge(ctx)
	if err != nil {
		return err
	}
	if _, err := net.InterfaceByName(m.tap()); err != nil {
		if err := proc.Run(ctx, "ip", "tuntap", "add", "dev", m.tap(), "mode", "tap"); err != nil {
			return err
		}
	}
	return proc.Run(ctx, "ip", "link", "set", "dev", m.tap(), "master", bridge, "up")
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
	// Process ids are given to others again: it must be this kernel with this directory.
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || strings.TrimSuffix(exe, " (deleted)") != artifact.UMLKernel {
		return 0, nil
	}
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

func (m *machine) Cable(ctx context.Context, state string) error {
	return proc.Run(ctx, "ip", "link", "set", "dev", m.tap(), state)
}

func (m *machine) OwnKernel() bool { return true }

// remove ends the machine and takes away its link and its disks.
func (m *machine) remove(ctx context.Context) error {
	if err := m.Kill(ctx); err != nil {
		return err
	}
	if _, err := net.InterfaceByName(m.tap()); err == nil {
		if err := proc.Run(ctx, "ip", "link", "delete", "dev", m.tap()); err != nil {
			return err
		}
	}
	return os.RemoveAll(m.dir)
}

package speed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
)

// serveVerb is the first argument of a program that is to be the hosts.
const serveVerb = "serve-hosts"

// Asked tells whether this program was started to be the hosts: main then calls
// [Serve].
func Asked(args []string) bool { return len(args) > 0 && args[0] == serveVerb }

// state is what the hosts tell, one line of JSON each time they are asked.
type state struct {
	Inventory string          `json:"inventory"`
	Hosts     map[string]host `json:"hosts"`
	CPU       float64         `json:"cpu"` // seconds, with the programs that were run
}

type host struct {
	Port        int       `json:"port"` // of 127.0.0.1
	IP          string    `json:"ip"`   // among the hosts
	Connections int64     `json:"connections"`
	Sessions    int64     `json:"sessions"`
	Last        time.Time `json:"last"` // when the last request came
}

// Serve is the hosts. It tells their state when they are up and at each line of
// stdin, and ends with stdin.
func Serve(args []string, stdin io.Reader, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet(serveVerb, flag.ContinueOnError)
	var o fleet.Options
	flags.IntVar(&o.Hosts, "n", 3, "how many hosts")
	flags.DurationVar(&o.Latency, "latency", 0, "see fleet.Options")
	flags.BoolVar(&o.Shell, "shell", false, "see fleet.Options")
	dir := flags.String("dir", "", "an empty folder")
	late := flags.String("late", "", "a host of which each answer takes -by longer")
	by := flags.Duration("by", 0, "see -late")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	f, err := fleet.New(*dir, o)
	if err != nil {
		return err
	}
	defer f.Close()
	if *late != "" {
		m := f.Machine(*late)
		if m == nil {
			return fmt.Errorf("slow a host down: none is called %q", *late)
		}
		if err := m.Break(fleet.Faults{Late: *by}); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(stdout)
	for lines := bufio.NewScanner(stdin); ; {
		s := state{Inventory: f.Inventory, Hosts: map[string]host{}, CPU: cpuOf(syscall.RUSAGE_SELF) + cpuOf(syscall.RUSAGE_CHILDREN)}
		for _, m := range f.Machines {
			st := m.Stats()
			s.Hosts[m.Name] = host{Port: m.Port(), IP: m.IP(), Connections: st.Connections, Sessions: st.Sessions, Last: m.Last()}
		}
		if err := enc.Encode(s); err != nil {
			return fmt.Errorf("tell of the hosts: %w", err)
		}
		if !lines.Scan() {
			return lines.Err()
		}
	}
}

func cpuOf(who int) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// hosts are a process of their own, so that what they take is not counted as
// kforge's; nor as this program's, which the kernel takes for the least that a
// program started by it has used.
type hosts struct {
	dir    string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	states *json.Decoder
	stderr strings.Builder
}

// startHosts starts hosts in a new folder. Close them.
func startHosts(ctx context.Context, n int, more ...string) (*hosts, error) {
	dir, err := temporary()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	h := &hosts{dir: dir}
	h.cmd = exec.CommandContext(ctx, self, append([]string{serveVerb, "-n", fmt.Sprint(n), "-latency", RoundTrip.String(), "-dir", filepath.Join(dir, "fleet")}, more...)...)
	h.cmd.Stderr = &h.stderr
	out, err := h.cmd.StdoutPipe()
	if err == nil {
		h.stdin, err = h.cmd.StdinPipe()
	}
	if err == nil {
		h.states = json.NewDecoder(out)
		err = h.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %d hosts: %w", n, err), os.RemoveAll(dir))
	}
	return h, nil
}

// temporary makes a folder in memory where there is one.
func temporary() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "kforge-fleet-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "kforge-fleet-")
}

// first is the state that hosts tell unasked, when they are up.
func (h *hosts) first() (state, error) {
	var s state
	if err := h.states.Decode(&s); err != nil {
		return s, fmt.Errorf("hear from the hosts: %w\n%s", err, h.stderr.String())
	}
	return s, nil
}

func (h *hosts) ask() (state, error) {
	if _, err := io.WriteString(h.stdin, "\n"); err != nil {
		return state{}, fmt.Errorf("ask the hosts: %w\n%s", err, h.stderr.String())
	}
	return h.first()
}

// close ends the hosts and removes their folder.
func (h *hosts) close() error {
	err := h.stdin.Close()
	if werr := h.cmd.Wait(); werr != nil {
		err = errors.Join(err, fmt.Errorf("end the hosts: %w\n%s", werr, h.stderr.String()))
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// Package speed measures kforge, and what it is compared with, on fleets of
// hosts in a process of their own: wall and CPU time, peak memory, connections
// and sessions. All is done in a network of its own, in which hosts reach each
// other, and on two cores; that takes Linux and root.
package speed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// RoundTrip is how long every round trip to a host takes.
const RoundTrip = 5 * time.Millisecond

// Run is one run of a program on a fleet.
type Run struct {
	Command string  `json:"command"` // "check", "plan", "ansible"
	Hosts   int     `json:"hosts"`
	Wall    float64 `json:"wall"` // seconds
	CPU     float64 `json:"cpu"`  // seconds, of the program
	// HostsCPU is what the hosts took on the same cores meanwhile, Others what
	// all else on the machine did: that should be near 0.
	HostsCPU float64 `json:"hostsCPU"`
	Others   float64 `json:"others"`
	Peak     int64   `json:"peak"` // bytes, resident; 0 when it is not known
	// Connections and Sessions are those of the host that had most.
	Connections int64 `json:"connections"`
	Sessions    int64 `json:"sessions"`
	// Elsewhere is when, in seconds since the start, the last request came to a
	// host that does not measure the slow one; 0 without a slow host.
	Elsewhere float64 `json:"elsewhere,omitempty"`

	began time.Time
}

// Config of a measurement.
type Config struct {
	Kforge  string // the program
	Command string // "check" or "plan"
	Hosts   int
	Runs    int
	// Slow has one host in the middle of the fleet take so much longer for every
	// answer.
	Slow time.Duration
	// Each is told of each run; nil tells nobody.
	Each func(Run)
}

// Measure runs a command of kforge on a new fleet, some times.
func Measure(ctx context.Context, c Config) (runs []Run, err error) {
	program, err := filepath.Abs(c.Kforge)
	if err != nil {
		return nil, err
	}
	err = inside(func() (err error) {
		var more []string
		slow := fmt.Sprintf("h%03d", c.Hosts/2)
		if c.Slow > 0 {
			more = []string{"-late", slow, "-by", c.Slow.String()}
		}
		h, err := startHosts(ctx, c.Hosts, more...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		now, err := h.first()
		if err != nil {
			return err
		}
		// Artifacts that plan needs are fetched once, and not counted.
		if c.Command == "plan" {
			if _, _, err = kforge(ctx, h, program, c.Command, now, c.Hosts); err != nil {
				return err
			}
		}
		for range c.Runs {
			r, after, err := kforge(ctx, h, program, c.Command, now, c.Hosts)
			if err != nil {
				return err
			}
			if c.Slow > 0 {
				if r.Elsewhere, err = elsewhere(r, now, after, slow); err != nil {
					return err
				}
			}
			runs, now = append(runs, r), after
			if c.Each != nil {
				c.Each(r)
			}
		}
		return nil
	})
	return runs, err
}

// kforge runs one command. Findings are no failure of it.
func kforge(ctx context.Context, h *hosts, program, command string, before state, n int) (Run, state, error) {
	c := exec.CommandContext(ctx, program, command, "-o", "json", "--progress", "plain",
		"-i", before.Inventory, "--state-dir", filepath.Join(h.dir, "runs"))
	c.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(h.dir, "cache"))
	return measured(h, c, Run{Command: command, Hosts: n}, exitFindings)
}

// exitFindings is the code of a check that found errors.
const exitFindings = 5

// measured runs a program to its end. Exit codes that are not 0 or among the
// others given are an error.
func measured(h *hosts, c *exec.Cmd, r Run, codes ...int) (Run, state, error) {
	before, err := h.ask()
	if err != nil {
		return r, before, err
	}
	log, err := os.CreateTemp(h.dir, "*.log")
	if err != nil {
		return r, before, fmt.Errorf("keep what %s says: %w", r.Command, err)
	}
	defer log.Close()
	c.Stderr = log
	if c.Stdout == nil {
		c.Stdout = log
	}
	busy, err := busySeconds()
	if err != nil {
		return r, before, err
	}
	r.began = time.Now()
	err = c.Run()
	r.Wall = time.Since(r.began).Seconds()
	if c.ProcessState == nil || !accepted(c.ProcessState.ExitCode(), codes) {
		said, _ := os.ReadFile(log.Name()) // what it said is a courtesy
		return r, before, fmt.Errorf("run %s: %w\n%s", c.Args, err, said[max(0, len(said)-4000):])
	}
	r.CPU = (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds()
	after, err := h.ask()
	if err != nil {
		return r, after, err
	}
	now, err := busySeconds()
	if err != nil {
		return r, after, err
	}
	r.HostsCPU = after.CPU - before.CPU
	r.Others = max(0, now-busy-r.CPU-r.HostsCPU)
	for name, a := range after.Hosts {
		b := before.Hosts[name]
		r.Connections, r.Sessions = max(r.Connections, a.Connections-b.Connections), max(r.Sessions, a.Sessions-b.Sessions)
	}
	r.Peak = peak(c)
	return r, after, nil
}

func accepted(code int, codes []int) bool {
	for _, c := range codes {
		if code == c {
			return true
		}
	}
	return code == 0
}

// peak is the most memory that a program had; 0 when that is not known: the
// kernel begins with what the parent had, and so a figure that is no larger
// would be about this program.
func peak(c *exec.Cmd) int64 {
	var own syscall.Rusage
	usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	return usage.Maxrss * 1024
}

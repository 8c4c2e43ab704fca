package fleet

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/ssh/sshtest"
	"kforge.dev/kforge/pkg/wire"
)

// Faults are the ways in which a host breaks. The zero value is a good host.
type Faults struct {
	Refuse bool // nobody listens at its port
	Hang   bool // connections are taken, and nobody ever speaks
	// CutAfter breaks each connection after so many bytes that the host read; 0
	// is never.
	CutAfter int64
	// Exit gives programs that end with another exit code, by name or by name
	// and first argument: "kubeadm", "systemctl start".
	Exit map[string]int
	// Slow is what an old disk takes longer: each program, each file that is
	// sent, and each write that waits for the disk.
	Slow     time.Duration
	DiskFull bool // no byte is free for what is sent
	// Hold is called before each program runs, and may block until ctx ends; nil
	// holds nothing.
	Hold func(ctx context.Context, program string)
	// Late is how much later, beyond the fleet's latency, everything comes that is
	// sent to the host: each of its answers takes so long.
	Late time.Duration
	// HoldRequest is called before each request is answered, and may block until
	// ctx ends; the host answers nothing meanwhile. nil holds nothing.
	HoldRequest func(ctx context.Context, h wire.Header)
	// KillAtProgram and KillAtRequest kill the agent as it begins its nth program
	// or request; 0 is never. Every agent from then on dies at the same count,
	// unless Once is set.
	KillAtProgram, KillAtRequest int
	// KillAfter kills the agent once so many bytes have reached it, whatever it
	// is about; 0 is never.
	KillAfter int64
	// StopAfter stops the agent's process (SIGSTOP) once so many bytes have
	// reached it: it holds on to all it has and says no more. 0 is never.
	StopAfter  int64
	Once       bool          // one agent is killed; the next ones live
	ClockAhead time.Duration // may be negative
}

// ssh gives those faults that the SSH server has.
func (f Faults) ssh(latency time.Duration) sshtest.Faults {
	return sshtest.Faults{Silent: f.Hang, CutAfter: f.CutAfter, Latency: latency + f.Late}
}

// FaultHelp names the faults that [Faults.With] knows.
const FaultHelp = "faults: refuse, hang, full, cut:BYTES, late:DURATION, exit:PROGRAM:CODE, slow:DURATION, kill:NTH-PROGRAM, kill-after:BYTES, stop-after:BYTES, ahead:DURATION"

// With adds a fault that a person wrote.
func (f Faults) With(text string) (Faults, error) {
	name, value, _ := strings.Cut(text, ":")
	var err error
	switch name {
	case "refuse":
		f.Refuse = true
	case "hang":
		f.Hang = true
	case "full":
		f.DiskFull = true
	case "cut":
		f.CutAfter, err = strconv.ParseInt(value, 10, 64)
	case "slow":
		f.Slow, err = time.ParseDuration(value)
	case "late":
		f.Late, err = time.ParseDuration(value)
	case "ahead":
		f.ClockAhead, err = time.ParseDuration(value)
	case "kill":
		f.KillAtProgram, err = strconv.Atoi(value)
	case "kill-after":
		f.KillAfter, err = strconv.ParseInt(value, 10, 64)
	case "stop-after":
		f.StopAfter, err = strconv.ParseInt(value, 10, 64)
	case "exit":
		program, code, _ := strings.Cut(value, ":")
		var n int
		if n, err = strconv.Atoi(code); err == nil {
			exit := maps.Clone(f.Exit)
			if exit == nil {
				exit = map[string]int{}
			}
			exit[program] = n
			f.Exit = exit
		}
	default:
		return f, fmt.Errorf("no fault is called %q; %s", name, FaultHelp)
	}
	if err != nil {
		return f, fmt.Errorf("read fault %q: %w", text, err)
	}
	return f, nil
}

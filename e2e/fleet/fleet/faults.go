package fleet

import (
	"context"
	"time"

	"kforge.dev/kforge/pkg/ssh/sshtest"
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
	Exit     map[string]int
	Slow     time.Duration // what each program takes longer: an old disk
	DiskFull bool          // no byte is free for what is sent
	// Hold is called before each program runs, and may block until ctx ends; nil
	// holds nothing.
	Hold func(ctx context.Context, program string)
	// KillAtProgram and KillAtRequest kill the agent as it begins its nth program
	// or request; 0 is never. Every agent from then on dies at the same count,
	// unless Once is set.
	KillAtProgram, KillAtRequest int
	Once                         bool          // one agent is killed; the next ones live
	ClockAhead                   time.Duration // may be negative
}

// ssh gives those faults that the SSH server has.
func (f Faults) ssh(latency time.Duration) sshtest.Faults {
	return sshtest.Faults{Silent: f.Hang, CutAfter: f.CutAfter, Latency: latency}
}

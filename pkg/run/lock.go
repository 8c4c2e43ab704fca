package run

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/wire"
)

// unlockWithin is for giving the lock back; what is not given back expires.
const unlockWithin = 5 * time.Second

// lockCluster takes the cluster's lock, after those of the hosts: it keeps off a
// run whose inventory names other hosts of the same cluster. Somebody else's
// lock is an error of kind Locked; an API that is unwell is only told of, since
// what is wrong with it may be what the run is to mend.
func (s *session) lockCluster(ctx context.Context, api *kube.Cluster) error {
	if s.mode != wire.ReadWrite || s.lock != nil {
		return nil
	}
	userName, machine := holder(s.command)
	me := kube.Holder{
		Name:    fmt.Sprintf("%s@%s (pid %d, kforge %s, run %s)", userName, machine, os.Getpid(), s.command, s.journal.ID()),
		Machine: machineNow(), PID: os.Getpid(),
	}
	lock, err := api.Lock(ctx, me, gone, func(err error) { s.cancel(err) })
	switch {
	case err == nil:
		s.lock = lock
	case diag.KindOf(err) == diag.Locked, ctx.Err() != nil:
		return err
	default:
		s.sink(event.Event{Event: event.Warning, Text: "going on without the cluster's lock: " + err.Error(), Hint: diag.Hint(err)})
	}
	return nil
}

// unlockCluster gives the lock back, also when the run was cancelled.
func (s *session) unlockCluster() {
	if s.lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), unlockWithin)
	defer cancel()
	if err := s.lock.Release(ctx); err != nil {
		s.sink(event.Event{Event: event.Notice, Text: "the cluster's lock ends by itself within a minute: " + err.Error()})
	}
	s.lock = nil
}

// machineNow identifies this machine since its boot, and its set of process
// ids; "" where the system does not tell.
func machineNow() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	pids, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + pids
}

// gone tells whether a holder was a process of this machine that is no more: a
// run that was killed must not keep the next one waiting.
func gone(h kube.Holder) bool {
	return h.Machine != "" && h.Machine == machineNow() && h.PID > 0 && syscall.Kill(h.PID, 0) == syscall.ESRCH
}

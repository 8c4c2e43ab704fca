package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/wire"
)

// lockFile is the host lock, under the root: flock makes it die with its
// holder, its content tells who that is. It is never unlinked, since two
// holders could then hold two files of that name.
const lockFile = "/run/kforge/lock"

// A lock may be waited for a moment when its holder has just gone, and longer
// when it says that it is ending: it may have a child to stop (5 s) and writes
// to bring to the disk.
const (
	lockPatience   = time.Second
	endingPatience = 45 * time.Second
	lockPoll       = 50 * time.Millisecond
)

// waitLock takes the host lock, waiting for a holder that is ending.
func waitLock(ctx context.Context, root string, l wire.Lock) (*os.File, error) {
	begin := time.Now()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		f, err := takeLock(root, l)
		var held *heldError
		if !errors.As(err, &held) {
			return f, err
		}
		patience := lockPatience
		if held.by.Ending {
			patience = endingPatience
		}
		if time.Since(begin) > patience {
			if held.known && l.Run != "" && held.by.Run == l.Run {
				return nil, diag.New(diag.Transport, "lock host", "an earlier agent of this run still holds the lock, and does not end").
					WithHint("look on the host for a disk or a program that hangs: `ps -eo pid,stat,wchan,args`, `dmesg`")
			}
			return nil, held.explain()
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// takeLock takes the host lock or says who has it, in a *heldError.
func takeLock(root string, l wire.Lock) (*os.File, error) {
	path := filepath.Join(root, lockFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("locking host: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking host: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, heldBy(f)
		}
		return nil, fmt.Errorf("locking host: %w", err)
	}
	if err := writeLock(f, l); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing host lock: %w", err)
	}
	return f, nil
}

func writeLock(f *os.File, l wire.Lock) error {
	raw, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(raw, '\n'), 0)
	return err
}

// ending tells whoever comes next that the lock will be free soon.
func (s *server) ending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return
	}
	s.holder.Ending = true
	_ = writeLock(s.lock, s.holder) // the lock itself is what counts
}

// heldError is a lock that somebody else has.
type heldError struct {
	by    wire.Lock
	known bool // by says who
}

func (e *heldError) Error() string { return e.explain().Error() }

func heldBy(f *os.File) error {
	e := &heldError{}
	raw, err := io.ReadAll(io.LimitReader(f, 64<<10))
	e.known = err == nil && json.Unmarshal(raw, &e.by) == nil
	return e
}

func (e *heldError) explain() *diag.Error {
	l := e.by
	if !e.known {
		// Its holder has just taken it and not yet said who it is.
		return diag.New(diag.Locked, "lock host", "another run holds the lock").WithHint("try again when it has ended")
	}
	return diag.New(diag.Locked, "lock host", "%s@%s (pid %d) has held it since %s for %q", l.User, l.Machine, l.PID, l.Since, l.Command).
		WithHint("wait for that run to end, or end process %d on %s: the lock goes with it", l.PID, l.Machine)
}

// othersLock is an error that names who holds the host, when that is not us. It
// takes nothing, and keeps nobody from the lock for longer than they wait.
func (s *server) othersLock() error {
	s.mu.Lock()
	ours := s.lock != nil
	s.mu.Unlock()
	if ours {
		return nil
	}
	f, err := os.Open(filepath.Join(s.Root, lockFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at host lock: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		var held *heldError
		if err := heldBy(f); errors.As(err, &held) {
			return held.explain()
		}
	}
	if err != nil {
		return fmt.Errorf("looking at host lock: %w", err)
	}
	return nil
}

// unlock gives the lock back.
func unlock(f *os.File) {
	if f == nil {
		return
	}
	// An empty file tells the next one to be refused nothing wrong.
	_ = f.Truncate(0)
	f.Close()
}

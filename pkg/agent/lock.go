package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/wire"
)

// lockFile is the host lock, under the root: flock makes it die with its
// holder, its content tells who that is. It is never unlinked, since two
// holders could then hold two files of that name.
const lockFile = "/run/kforge/lock"

// takeLock takes the host lock or says who has it.
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
	raw, err := json.Marshal(l)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(raw, '\n'), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing host lock: %w", err)
	}
	return f, nil
}

func heldBy(f *os.File) error {
	var l wire.Lock
	raw, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil || json.Unmarshal(raw, &l) != nil {
		// Its holder has just taken it and not yet said who it is.
		return diag.New(diag.Locked, "lock host", "another run holds the lock").WithHint("try again when it has ended")
	}
	return diag.New(diag.Locked, "lock host", "%s@%s (pid %d) has held it since %s for %q", l.User, l.Machine, l.PID, l.Since, l.Command).
		WithHint("wait for that run to end, or end process %d on %s: the lock goes with it", l.PID, l.Machine)
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

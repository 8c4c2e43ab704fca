package journal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// hold marks a record as being written. The mark dies with the process. Where
// the file system knows no locks, a run that goes on looks like one that was
// cut off, and nothing else is lost.
func hold(events *os.File) {
	_ = syscall.Flock(int(events.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// Live reports whether the run in this folder is still being recorded.
func Live(dir string) bool {
	f, err := os.Open(filepath.Join(dir, EventsFile))
	if err != nil {
		return false
	}
	defer f.Close() // and with it the lock
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// Package durable makes files survive a power cut without making every write
// wait for the disk. An fsync costs tens of milliseconds on a busy disk, and
// bringing up a host writes a hundred files: they are synced behind the work,
// and whoever ends a run waits for the rest.
//
// What this gives up is small: a power cut in the middle of a run may lose files
// that were just written. The next run observes that and writes them again.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// Queue syncs files and directories one after another, in a goroutine that
// lives while there is something to sync. A nil *Queue syncs at once. It is
// safe for concurrent use.
type Queue struct {
	mu      sync.Mutex
	paths   []string
	queued  map[string]bool
	running bool
	idle    sync.Cond // broadcast when running becomes false
	err     error     // the first failure
}

// New makes an empty queue.
func New() *Queue {
	q := &Queue{queued: map[string]bool{}}
	q.idle.L = &q.mu
	return q
}

// Sync makes a file or directory durable, now or before Wait returns. A path
// that is gone by then is nothing to worry about.
func (q *Queue) Sync(path string) error {
	if q == nil {
		return Now(path)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queued[path] {
		return nil
	}
	q.queued[path] = true
	q.paths = append(q.paths, path)
	if !q.running {
		q.running = true
		go q.work()
	}
	return nil
}

// Deferred reports whether Sync only takes note.
func (q *Queue) Deferred() bool { return q != nil }

func (q *Queue) work() {
	q.mu.Lock()
	for len(q.paths) > 0 {
		path := q.paths[0]
		q.paths = q.paths[1:]
		// Forgotten first: what is written from here on is synced again.
		delete(q.queued, path)
		q.mu.Unlock()
		err := Now(path)
		q.mu.Lock()
		if err != nil && q.err == nil {
			q.err = err
		}
	}
	q.running = false
	q.idle.Broadcast()
	q.mu.Unlock()
}

// Wait returns when everything noted so far is durable, with the first failure
// since the last Wait.
func (q *Queue) Wait() error {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.running {
		q.idle.Wait()
	}
	err := q.err
	q.err = nil
	return err
}

// Now syncs a file or directory and returns when the disk has it.
func Now(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening to sync: %w", err)
	}
	defer f.Close()
	// Some file systems (overlay in old kernels, fuse) have no fsync on directories.
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

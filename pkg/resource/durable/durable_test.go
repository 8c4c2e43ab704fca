package durable

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q := New()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				path := filepath.Join(dir, string(rune('a'+i%26)))
				if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
					t.Error(err)
				}
				if err := q.Sync(path); err != nil {
					t.Error(err)
				}
				if err := q.Sync(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := q.Sync(filepath.Join(dir, "gone")); err != nil {
		t.Error(err)
	}
	if err := q.Wait(); err != nil {
		t.Error(err)
	}
	if len(q.paths) != 0 || len(q.queued) != 0 || q.running {
		t.Errorf("after Wait: %d paths, %d queued, running %v", len(q.paths), len(q.queued), q.running)
	}
}

func TestNilQueueSyncsAtOnce(t *testing.T) {
	t.Parallel()
	var q *Queue
	if err := q.Sync(t.TempDir()); err != nil || q.Deferred() || q.Wait() != nil {
		t.Errorf("Sync = %v, Deferred = %v", err, q.Deferred())
	}
	// A path below a file cannot be opened: that is told.
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Sync(filepath.Join(file, "x")); err == nil {
		t.Error("no error for a path that cannot be opened")
	}
	d := New()
	if err := d.Sync(filepath.Join(file, "x")); err != nil {
		t.Error(err)
	}
	if err := d.Wait(); err == nil {
		t.Error("Wait tells of no failure")
	}
}

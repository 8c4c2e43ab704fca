package netprobe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// writeSize is what etcd's log writes at a time, by its own advice on how to
// measure a disk.
const writeSize = 2300

// Sync measures how long a write takes until it is safe on the disk under a
// directory. The file has no name (O_TMPFILE): no directory changes, and it is
// gone when it is closed, also when this program dies. own is the directory of
// the agent, taken when the file system knows no files without a name and the
// agent's directory is on the same one.
func Sync(ctx context.Context, s wire.Sync, root, own string) (*facts.SyncTimes, error) {
	op := "measure the disk of " + s.Path
	if !filepath.IsAbs(s.Path) {
		return nil, diag.New(diag.Invalid, op, "the path is not absolute")
	}
	dir := s.Path
	for dir != "/" && !isDir(filepath.Join(root, dir)) {
		dir = filepath.Dir(dir)
	}
	f, err := scratch(filepath.Join(root, dir), filepath.Join(root, own))
	if err != nil {
		return nil, diag.Wrap(diag.Unsupported, op, err)
	}
	defer f.Close()
	deadline := time.Now().Add(within(s.Seconds, 0.05, 10))
	var times []time.Duration
	block := make([]byte, writeSize)
	for len(times) < min(max(s.Samples, 1), 10_000) && (len(times) == 0 || time.Now().Before(deadline)) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	at := func(q float64) float64 {
		return times[min(len(times)-1, int(q*float64(len(times))))].Seconds()
	}
	return &facts.SyncTimes{Path: dir, Samples: len(times), Median: at(0.5), P99: at(0.99), Max: times[len(times)-1].Seconds()}, nil
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// scratch opens a file that has no name.
func scratch(dir, own string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return nil, err
	}
	var a, b unix.Stat_t
	if unix.Stat(dir, &a) != nil || unix.Stat(own, &b) != nil || a.Dev != b.Dev {
		return nil, fmt.Errorf("the file system of %s has no files without a name: %w", dir, err)
	}
	f, err := os.CreateTemp(own, ".sync-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

package agent

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
)

const (
	putPrefix  = ".put-"
	blobPrefix = "sha256-"
	// blobAge is how long a blob that nobody used may lie about: a run that was
	// broken off goes on with it.
	blobAge = 7 * 24 * time.Hour
)

// store keeps blobs by digest. A name without a dot in front is a blob that was
// verified when it came, in this boot: blobs are not synced, since most are used
// and removed before they ever reach the disk, and those of an earlier boot are
// swept.
type store struct {
	dir  string
	free func(dir string) (uint64, error) // bytes
}

func newStore(root string, free func(string) (uint64, error)) store {
	return store{filepath.Join(root, record.StateDir, "blobs"), free}
}

// free asks the kernel for the bytes that may still be written below dir.
func free(dir string) (uint64, error) {
	var fsys unix.Statfs_t
	if err := unix.Statfs(dir, &fsys); err != nil {
		return 0, err
	}
	return fsys.Bavail * uint64(fsys.Bsize), nil
}

func (s store) path(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", diag.New(diag.Invalid, "check digest", "%q is not a sha256 digest", digest)
	}
	return filepath.Join(s.dir, blobPrefix+h), nil
}

// Open implements resource.Blobs.
func (s store) Open(digest string) (*os.File, error) {
	p, err := s.path(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.NotFound, "open blob", "%s is not in the store", digest)
	}
	return f, err
}

// Remove implements resource.Blobs.
func (s store) Remove(digest string) error {
	p, err := s.path(digest)
	if err != nil {
		return err
	}
	if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// has reports whether a blob is there.
func (s store) has(digest string) (bool, error) {
	p, err := s.path(digest)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// sweep removes what broken puts left, and blobs that nobody used for long. The
// caller holds the host lock, so that nothing is being put.
func (s store) sweep(now, booted time.Time) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			continue
		}
		stale := strings.HasPrefix(e.Name(), putPrefix) ||
			strings.HasPrefix(e.Name(), blobPrefix) && (now.Sub(fi.ModTime()) > blobAge || fi.ModTime().Before(booted))
		if stale {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// put stores size bytes of r under their digest. What is not right is removed.
func (s store) put(digest string, size int64, name string, r io.Reader) (err error) {
	final, err := s.path(digest)
	if err != nil {
		return err
	}
	op := "store " + name
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return full(op, err)
	}
	if left, err := s.free(s.dir); err == nil && uint64(size) > left {
		return noSpace(diag.New(diag.NoSpace, op, "%d bytes are wanted in %s and %d are free", size, s.dir, left))
	}
	tmp := filepath.Join(s.dir, putPrefix+rand.Text()[:8])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return full(op, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err != nil {
		return full(op, err)
	}
	if n != size {
		return diag.New(diag.Transport, op, "%d bytes came, %d were announced", n, size)
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return diag.New(diag.Digest, op, "content has digest %s, want %s", got, digest)
	}
	if err := f.Close(); err != nil {
		return full(op, err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return full(op, err)
	}
	return nil
}

// full gives an error of a full disk its kind.
func full(op string, err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return noSpace(diag.Wrap(diag.NoSpace, op, err))
	}
	return fmt.Errorf("%s: %w", op, err)
}

func noSpace(e *diag.Error) *diag.Error {
	return e.WithHint("free space under %s on that host and apply again", record.StateDir)
}

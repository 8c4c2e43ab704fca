package resource

import (
	"context"
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
	"syscall"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/durable"
)

// tmpMark is in the name of every temporary file of ours.
const tmpMark = ".kforge-tmp-"

// writeAtomic puts src at path: a temporary file in the same directory, with mode
// and owner, renamed over it. What src gives must have the digest. before runs
// when the content is complete, just before the rename; its error stops the
// write. File and directory are synced as the queue does it.
func writeAtomic(ctx context.Context, q *durable.Queue, path string, mode fs.FileMode, uid, gid int, src io.Reader, digest string, before func() error) (err error) {
	dir, base := filepath.Split(path)
	sweepTemps(dir, base)
	tmp := filepath.Join(dir, "."+base+tmpMark+rand.Text()[:8])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
		}
	}()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, h), &ctxReader{ctx, src}); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return diag.New(diag.Digest, "write "+path, "content has digest %s, want %s", got, digest)
	}
	if err := setOwner(tmp, uid, gid, mode); err != nil {
		return err
	}
	if !q.Deferred() {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := before(); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	if !q.Deferred() {
		return durable.Now(dir)
	}
	return errors.Join(q.Sync(path), q.Sync(filepath.Clean(dir)))
}

// sweepTemps removes what a crash left of earlier writes of the same file.
func sweepTemps(dir, base string) {
	old, err := filepath.Glob(filepath.Join(escapeGlob(dir), "."+escapeGlob(base)+tmpMark+"*"))
	if err != nil {
		return
	}
	for _, p := range old {
		os.Remove(p)
	}
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// linkAtomic puts a symbolic link at path, replacing what is there.
func linkAtomic(q *durable.Queue, path, target string) error {
	dir, base := filepath.Split(path)
	sweepTemps(dir, base)
	tmp := filepath.Join(dir, "."+base+tmpMark+rand.Text()[:8])
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return q.Sync(filepath.Clean(dir))
}

// mkdirs makes the missing parents of path with mode 0755 whatever the umask, and
// records that they are ours.
func (s *session) mkdirs(path string) error {
	var missing []string
	for d := filepath.Dir(filepath.Clean(path)); d != "/"; d = filepath.Dir(d) {
		fi, err := os.Stat(s.path(d))
		if err == nil {
			if !fi.IsDir() {
				return foreign(d, "no directory")
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, d)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(s.path(missing[i]), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Chmod(s.path(missing[i]), 0o755); err != nil {
			return err
		}
		if err := s.records.Made(missing[i]); err != nil {
			return err
		}
	}
	return nil
}

// keepOriginal keeps the file that somebody else put at path beside it, once.
func keepOriginal(path string) error {
	if _, err := os.Lstat(path + origSuffix); err == nil {
		return nil
	}
	// A hard link keeps content, mode, owner and times, and is atomic.
	if err := os.Link(path, path+origSuffix); err == nil {
		return durable.Now(filepath.Dir(path))
	}
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	uid, gid := owner(fi)
	if err := writeAtomic(context.Background(), nil, path+origSuffix, fi.Mode().Perm(), uid, gid,
		strings.NewReader(string(raw)), digestOf(raw), func() error { return nil }); err != nil {
		return fmt.Errorf("keeping %s: %w", path, err)
	}
	return nil
}

func owner(fi fs.FileInfo) (uid, gid int) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return 0, 0
}

// device tells file systems apart.
func device(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev)
	}
	return 0
}

// wrongOwner compares owners. Without root rights nothing can be given away, so
// then owners are not looked at (tests on temporary roots).
func wrongOwner(uid, gid, wantUID, wantGID int) bool {
	return os.Geteuid() == 0 && (uid != wantUID || gid != wantGID)
}

// setOwner sets owner, then mode: chown clears bits.
func setOwner(path string, uid, gid int, mode fs.FileMode) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode)
}

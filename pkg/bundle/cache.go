package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// cache keeps content in files named by its SHA-256. Files appear by rename
// only, whole and checked, so several processes may share it.
type cache struct{ dir string }

// staleAfter is the age of a temporary file that nobody writes any more.
const staleAfter = 48 * time.Hour

func openCache(dir string) (*cache, error) {
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, "find the cache directory", err).WithHint("set XDG_CACHE_HOME or HOME")
		}
		dir = filepath.Join(base, "kforge", "artifacts")
	}
	c := &cache{dir}
	if err := os.MkdirAll(c.tmp(), 0o755); err != nil {
		return nil, fmt.Errorf("make artifact cache: %w", err)
	}
	leftovers, err := os.ReadDir(c.tmp())
	if err != nil {
		return nil, fmt.Errorf("read artifact cache: %w", err)
	}
	for _, e := range leftovers {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
			os.Remove(filepath.Join(c.tmp(), e.Name()))
		}
	}
	return c, nil
}

func (c *cache) tmp() string              { return filepath.Join(c.dir, "tmp") }
func (c *cache) path(sum string) string   { return filepath.Join(c.dir, "sha256", sum[:2], sum) }
func (c *cache) guard(name string) string { return filepath.Join(c.tmp(), "lock-"+hexSum(name)[:16]) }

// stampOf says how a file looked when it was found whole. A file that looks the
// same is not read again: hashing all artifacts of a cluster takes a second or
// more of every run, and hosts check what they are sent once more.
func stampOf(fi os.FileInfo) string {
	var inode uint64
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		inode = uint64(st.Ino)
	}
	return fmt.Sprintf("%d %d %d", fi.Size(), fi.ModTime().UnixNano(), inode)
}

// check reports whether sum is here and whole. A damaged file is removed.
func (c *cache) check(ctx context.Context, sum string, size int64) (bool, error) {
	f, err := os.Open(c.path(sum))
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open cached artifact: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("read cached artifact: %w", err)
	}
	stamp := c.path(sum) + ".whole"
	if known, err := os.ReadFile(stamp); err == nil && string(known) == stampOf(fi) {
		return size == 0 || fi.Size() == size, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, ctxReader{ctx, f})
	if err != nil {
		return false, fmt.Errorf("read cached artifact: %w", err)
	}
	if hexOf(h) == sum && (size == 0 || n == size) {
		_ = os.WriteFile(stamp, []byte(stampOf(fi)), 0o644) // losing it costs a hash
		return true, nil
	}
	if err := os.Remove(c.path(sum)); err != nil {
		return false, fmt.Errorf("remove damaged artifact: %w", err)
	}
	return false, nil
}

// draft is content on its way into the cache: written, summed, then kept or
// dropped.
type draft struct {
	f   *os.File
	sum hash.Hash
	n   int64
}

func (c *cache) draft() (*draft, error) {
	f, err := os.CreateTemp(c.tmp(), "draft-*")
	if err != nil {
		return nil, fmt.Errorf("write to artifact cache: %w", err)
	}
	return &draft{f: f, sum: sha256.New()}, nil
}

func (d *draft) Write(p []byte) (int, error) {
	n, err := d.f.Write(p)
	d.sum.Write(p[:n])
	d.n += int64(n)
	return n, err
}

// reset makes it empty again, for another attempt.
func (d *draft) reset() error {
	d.sum.Reset()
	d.n = 0
	if _, err := d.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return d.f.Truncate(0)
}

// drop removes it; after keep it does nothing.
func (d *draft) drop() {
	if d.f != nil {
		d.f.Close()
		os.Remove(d.f.Name())
	}
}

// keep puts it in its place and gives its SHA-256 in hex.
func (c *cache) keep(d *draft) (string, error) {
	sum := hexOf(d.sum)
	if err := d.f.Chmod(0o644); err != nil {
		return "", err
	}
	if err := d.f.Close(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(c.path(sum)), 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(d.f.Name(), c.path(sum)); err != nil {
		return "", err
	}
	d.f = nil
	return sum, nil
}

// pulled remembers which archive an image became, so that another cluster's
// first fetch needs no second download.
type pulled struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

func (c *cache) pulledPath(ref, manifest string) string {
	return filepath.Join(c.dir, "images", hexSum(archiveLayout+" "+ref+"@"+manifest)+".json")
}

func (c *cache) lookupImage(ref, manifest string) (pulled, bool) {
	var p pulled
	raw, err := os.ReadFile(c.pulledPath(ref, manifest))
	if err != nil || json.Unmarshal(raw, &p) != nil || !isHex256(p.SHA256) {
		return pulled{}, false // a hint only: without it the image is pulled again
	}
	return p, true
}

func (c *cache) recordImage(ref, manifest string, p pulled) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := c.pulledPath(ref, manifest)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return writeAtomic(path, raw)
}

func hexOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// ctxReader ends a long read when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// writeAtomic replaces a small file in one step.
func writeAtomic(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// lockFile holds an advisory lock until release. It is held for the time of
// rewriting one small file, so it waits without a deadline; the kernel frees it
// when its holder dies.
func lockFile(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

package bundle

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/diag"
)

// lockMember is the first member of a bundle, so that Inspect reads one page.
// Its own SHA-256 follows it.
const (
	lockMember    = "bundle.lock"
	lockSumMember = "bundle.lock.sha256"
)

// maxLock bounds what is read of a file that may be no bundle at all.
const maxLock = 16 << 20

// Create writes a bundle of these items to path, fetching what is missing. The
// file appears whole or not at all.
func Create(ctx context.Context, path string, s *Store, items []Item, progress func(Progress)) (err error) {
	if err := s.Fetch(ctx, items, progress); err != nil {
		return err
	}
	var entries []Entry
	members := map[string]member{}
	for _, i := range items {
		e, err := s.entry(i)
		if err != nil {
			return err
		}
		entries = append(entries, e)
		members[blobMember(e.SHA256)] = member{e.Size, func() (io.ReadCloser, error) {
			c, err := s.Open(e.SHA256)
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{ctxReader{ctx, io.NewSectionReader(c, 0, c.Size)}, c}, nil
		}}
	}
	raw, err := encodeLock(entries)
	if err != nil {
		return err
	}
	members[lockMember] = bytesMember(raw)
	members[lockSumMember] = bytesMember([]byte(hexSum(string(raw)) + "\n"))

	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("create bundle: %w", err)
	}
	defer os.Remove(f.Name())
	err = writeTar(f, members, lockMember, lockSumMember)
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
		return fmt.Errorf("create bundle %s: %w", path, err)
	}
	return nil
}

// archive is the source that reads a bundle in place.
type archive struct {
	f       *os.File
	path    string
	entries map[key]Entry
	members map[string]span // by SHA-256 in hex
	good    sync.Map        // SHA-256 in hex of members that were checked
}

// span is where a member's content lies in the file.
type span struct{ offset, size int64 }

// OpenBundle opens a bundle as a store that needs nothing else. It reads the
// lock and the members' headers; content is checked by Fetch.
func OpenBundle(path string) (*Store, error) {
	a, entries, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	l := &lock{entries: map[key]Entry{}}
	for _, e := range entries {
		l.entries[e.key()] = e
	}
	a.entries = l.entries
	return &Store{lock: l, src: a, from: path}, nil
}

// Inspect lists what a bundle holds, by its lock; it reads no content.
func Inspect(path string) ([]Entry, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readLockMember(tar.NewReader(f), path)
}

// Verify reads a whole bundle and checks every digest. What is damaged or
// missing is an error of kind digest that names the member.
func Verify(ctx context.Context, path string) ([]Entry, error) {
	a, entries, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.close()
	for _, e := range entries {
		if err := a.check(ctx, e); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// whole checks every member, some side by side, and gives the first that is
// damaged, in the order of their digests.
func (a *archive) whole(ctx context.Context) error {
	entries := slices.SortedFunc(maps.Values(a.entries), func(x, y Entry) int { return strings.Compare(x.SHA256, y.SHA256) })
	errs := make([]error, len(entries))
	var g errgroup.Group
	g.SetLimit(parallel)
	for n, e := range entries {
		g.Go(func() error {
			errs[n] = a.check(ctx, e)
			return nil
		})
	}
	g.Wait() // errs has them
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func openFile(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.Wrap(diag.NotFound, "open bundle", err).WithHint("make one with \"kforge bundle create\"")
	}
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return f, nil
}

func readLockMember(t *tar.Reader, path string) ([]Entry, error) {
	h, err := t.Next()
	if err != nil || h.Name != lockMember || h.Size > maxLock {
		return nil, diag.New(diag.Invalid, "open bundle "+path, "it does not begin with %s: it is no bundle, or damaged", lockMember).
			WithHint("make one with \"kforge bundle create\"")
	}
	raw, err := io.ReadAll(t)
	if err != nil {
		return nil, damaged(path, lockMember, err)
	}
	if h, err = t.Next(); err != nil || h.Name != lockSumMember {
		return nil, damaged(path, lockSumMember, errors.Join(errors.New("its place is not after the lock"), err))
	}
	sum, err := io.ReadAll(io.LimitReader(t, 128))
	if err != nil {
		return nil, damaged(path, lockSumMember, err)
	}
	if got := hexSum(string(raw)); got != strings.TrimSpace(string(sum)) {
		return nil, damaged(path, lockMember, fmt.Errorf("it is sha256:%s", got))
	}
	return decodeLock(raw, path+": "+lockMember)
}

// openArchive indexes a bundle by its headers, seeking over the content.
func openArchive(path string) (*archive, []Entry, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, nil, err
	}
	a := &archive{f: f, path: path, members: map[string]span{}}
	entries, err := a.index()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return a, entries, nil
}

func (a *archive) index() ([]Entry, error) {
	t := tar.NewReader(a.f)
	entries, err := readLockMember(t, a.path)
	if err != nil {
		return nil, err
	}
	last := lockMember
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, damaged(a.path, last, err)
		}
		last = h.Name
		// The reader takes whole headers from the file and nothing ahead, so
		// the file now stands at the member's first byte.
		offset, err := a.f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fmt.Errorf("read bundle %s: %w", a.path, err)
		}
		a.members[strings.TrimPrefix(h.Name, "blobs/sha256/")] = span{offset, h.Size}
	}
	for _, e := range entries {
		m, ok := a.members[e.SHA256]
		if !ok || m.size != e.Size {
			return nil, damaged(a.path, blobMember(e.SHA256), fmt.Errorf("%s %s (%s) is not whole in it", e.Name, e.Version, e.Arch))
		}
	}
	return entries, nil
}

func damaged(path, member string, err error) error {
	return diag.Wrap(diag.Digest, "read bundle "+path+": member "+member, err).
		WithHint("the file is damaged or cut short: copy it again, or make it again with \"kforge bundle create\"")
}

// missing says what a bundle lacks and how to get it.
func missing(i Item, path string) error {
	return diag.New(diag.NotFound, "find "+i.String(), "bundle %s does not hold %s %s for %s", path, i.Name, i.Version, i.Arch).
		WithHint("make a bundle that does: \"kforge bundle create\" with this Kubernetes version and --arch %s", i.Arch)
}

// check reads a member, once, and compares its digest.
func (a *archive) check(ctx context.Context, e Entry) error {
	if _, ok := a.good.Load(e.SHA256); ok {
		return nil
	}
	c, err := a.open(e.SHA256)
	if err != nil {
		return err
	}
	defer c.Close()
	h := sha256.New()
	if _, err := io.Copy(h, ctxReader{ctx, io.NewSectionReader(c, 0, c.Size)}); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return damaged(a.path, blobMember(e.SHA256), err)
	}
	if got := hexOf(h); got != e.SHA256 {
		return damaged(a.path, blobMember(e.SHA256), fmt.Errorf("%s %s (%s) is sha256:%s", e.Name, e.Version, e.Arch, got))
	}
	a.good.Store(e.SHA256, true)
	return nil
}

func (a *archive) ensure(ctx context.Context, i Item, report func(done, total int64, cached bool)) (Entry, error) {
	e, ok := a.entries[keyOf(i)]
	if !ok {
		return Entry{}, missing(i, a.path)
	}
	if err := a.check(ctx, e); err != nil {
		return Entry{}, err
	}
	report(e.Size, e.Size, true)
	return e, nil
}

func (a *archive) open(sum string) (*Content, error) {
	m, ok := a.members[sum]
	if !ok {
		return nil, diag.New(diag.NotFound, "open artifact", "sha256:%s is not in bundle %s", sum, a.path)
	}
	return &Content{
		ReaderAt: io.NewSectionReader(a.f, m.offset, m.size),
		Closer:   io.NopCloser(nil), // the bundle stays open until the store closes
		Size:     m.size,
	}, nil
}

func (a *archive) close() error { return a.f.Close() }

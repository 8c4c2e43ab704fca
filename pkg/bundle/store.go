package bundle

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// Options of a Store that fetches.
type Options struct {
	// CacheDir holds artifacts between runs; "" means kforge/artifacts in the
	// user's cache directory.
	CacheDir string
	// LockPath is the lock file beside the inventory, see the function LockPath;
	// "" keeps the lock in memory only.
	LockPath string
	// Mirror is the base URL of a site laid out as the official ones: it serves
	// https://HOST/PATH at MIRROR/HOST/PATH, and images of every registry at
	// MIRRORHOST:PORT/REGISTRY/PATH:TAG. "" means the official sites.
	Mirror string
	// Update takes what the source gives now in place of what was locked.
	Update bool
}

// Store gives artifacts by digest. It is safe for concurrent use.
type Store struct {
	lock *lock
	src  source
	from string // the bundle's path, "" for a store that fetches
	opts Options
}

// source holds content. Implementations: fetcher, archive.
type source interface {
	// ensure makes the item's content ready and gives what is to be locked of
	// it; report takes the bytes done, the bytes in all (0 for unknown) and
	// whether nothing had to be fetched.
	ensure(ctx context.Context, i Item, report func(done, total int64, cached bool)) (Entry, error)
	// open gives content by SHA-256 in hex. Missing content is not-found.
	open(sum string) (*Content, error)
	// whole checks all content that has to be checked beforehand.
	whole(ctx context.Context) error
	close() error
}

// Content is one artifact, opened: Size bytes. Close it.
type Content struct {
	io.ReaderAt
	io.Closer
	Size int64
}

// Progress of one item of a Fetch.
type Progress struct {
	Item     Item
	Done     int64 // bytes so far
	Total    int64 // bytes, 0 when the source did not say
	Finished bool
	Cached   bool // it was there already
}

// parallel downloads of one Fetch. More do not help one admin's link, and sites
// answer more with "too many requests".
const parallel = 4

// NewStore opens a store that fetches what is missing into the cache, and
// records in the lock file what it fetched first.
func NewStore(o Options) (*Store, error) {
	m, err := parseMirror(o.Mirror)
	if err != nil {
		return nil, err
	}
	c, err := openCache(o.CacheDir)
	if err != nil {
		return nil, err
	}
	l, err := loadLock(o.LockPath, c.guard(o.LockPath))
	if err != nil {
		return nil, err
	}
	return &Store{lock: l, src: newFetcher(c, l, m, o.Update), opts: o}, nil
}

// Close releases what the store holds open.
func (s *Store) Close() error { return s.src.close() }

// Whole checks every digest of a bundle: what is damaged is an error of kind
// digest that names the member. A store that fetches has nothing to check
// beforehand.
func (s *Store) Whole(ctx context.Context) error { return s.src.whole(ctx) }

// Unlocked gives those items whose digest is not known before a Fetch.
func (s *Store) Unlocked(items []Item) Items {
	return Items(items).where(func(i Item) bool {
		_, ok := s.lock.get(keyOf(i))
		return !ok
	})
}

// Fetch makes every item ready to be opened and locks its digest. All items are
// tried; the error joins what went wrong. Its kinds: not-found, digest,
// unreachable, timeout, permission. progress may be nil and is never called
// concurrently.
func (s *Store) Fetch(ctx context.Context, items []Item, progress func(Progress)) error {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex // guards progress, entries and errs
		entries []Entry
		errs    = make([]error, len(items))
		slots   = make(chan struct{}, parallel)
	)
	tell := func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		if progress != nil {
			progress(p)
		}
	}
	one := func(n int, i Item) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			errs[n] = ctx.Err()
			return
		}
		last := Progress{Item: i}
		e, err := s.src.ensure(ctx, i, func(done, total int64, cached bool) {
			last.Done, last.Total, last.Cached = done, total, cached
			tell(last)
		})
		if err != nil {
			errs[n] = err
			return
		}
		last.Done, last.Total, last.Finished = e.Size, e.Size, true
		tell(last)
		mu.Lock()
		entries = append(entries, e)
		mu.Unlock()
	}
	for n, i := range items {
		wg.Go(func() { one(n, i) })
	}
	wg.Wait()
	// What came is locked even if something else did not: the next run goes on.
	errs = append(errs, s.lock.add(entries, s.opts.Update))
	if err := ctx.Err(); err != nil {
		return diag.Wrap(diag.KindOf(err), "fetch artifacts", context.Cause(ctx))
	}
	return errors.Join(errs...)
}

// Blob names an item's content: the file, or the image's OCI archive. An item
// neither locked nor fetched is an error of kind not-found.
func (s *Store) Blob(i Item) (spec.Blob, error) {
	e, err := s.entry(i)
	if err != nil {
		return spec.Blob{}, err
	}
	return spec.Blob{Digest: "sha256:" + e.SHA256, Size: e.Size, Name: i.Name + " " + i.Version}, nil
}

// Image is the resource that a host holds this image.
func (s *Store) Image(i Item) (spec.Image, error) {
	e, err := s.entry(i)
	if err != nil {
		return spec.Image{}, err
	}
	b, err := s.Blob(i)
	if err != nil {
		return spec.Image{}, err
	}
	if i.Kind != Image {
		return spec.Image{}, diag.New(diag.Internal, "name image", "%s is a file", i)
	}
	return spec.Image{Name: i.Ref, Digest: e.Manifest, Blob: b}, nil
}

func (s *Store) entry(i Item) (Entry, error) {
	e, ok := s.lock.get(keyOf(i))
	if ok {
		return e, nil
	}
	if s.from != "" {
		return Entry{}, missing(i, s.from)
	}
	return Entry{}, diag.New(diag.NotFound, "name artifact", "the digest of %s is not known", i).
		WithHint("it has to be fetched first")
}

// Open gives content by digest ("sha256:hex"). Unknown content is an error of
// kind not-found. Fetch has checked it.
func (s *Store) Open(digest string) (*Content, error) {
	sum := strings.TrimPrefix(digest, "sha256:")
	if !isHex256(sum) {
		return nil, diag.New(diag.Invalid, "open artifact", "%q is not a sha256 digest", digest)
	}
	return s.src.open(sum)
}

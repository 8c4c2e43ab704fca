package bundle

import (
	"context"
	"errors"
	"io"

	"kforge.dev/kforge/pkg/spec"
)

var errUnwritten = errors.New("not written yet")

// Options of a Store that fetches.
type Options struct {
	// CacheDir holds artifacts between runs; "" means kforge/artifacts in the
	// user's cache directory.
	CacheDir string
	// LockPath is the lock file beside the inventory, see LockPath; "" keeps
	// the lock in memory only.
	LockPath string
	// Mirror is the base URL of a site laid out as the official ones (see
	// README of the lab); "" means the official sites themselves.
	Mirror string
	// Update takes what the source gives now in place of what was locked.
	Update bool
}

// Store gives artifacts by digest.
type Store struct{}

// Progress of one item of a Fetch.
type Progress struct {
	Item     Item
	Done     int64 // bytes so far
	Total    int64 // bytes, 0 when the source did not say
	Finished bool
	Cached   bool // was there already
}

// Content is one artifact, opened. Close it.
type Content struct {
	io.ReaderAt
	io.Closer
	Size int64
}

// LockPath is the lock file that belongs to an inventory: NAME.bundle.lock.
func LockPath(inventory string) string { return "" }

// NewStore opens a store that fetches what is missing into the cache.
func NewStore(o Options) (*Store, error) { return nil, errUnwritten }

// OpenBundle opens an archive as a store that needs nothing else.
func OpenBundle(path string) (*Store, error) { return nil, errUnwritten }

// Close releases what the store holds open.
func (s *Store) Close() error { return errUnwritten }

// Unlocked gives those items whose digest is not known before a Fetch.
func (s *Store) Unlocked(items []Item) Items { return nil }

// Fetch makes every item ready to be opened. progress may be nil and is never
// called concurrently.
func (s *Store) Fetch(ctx context.Context, items []Item, progress func(Progress)) error {
	return errUnwritten
}

// Blob names an item's content: the file, or the image's OCI archive.
func (s *Store) Blob(i Item) (spec.Blob, error) { return spec.Blob{}, errUnwritten }

// Image is the resource that a host holds this image.
func (s *Store) Image(i Item) (spec.Image, error) { return spec.Image{}, errUnwritten }

// Open gives content by digest ("sha256:hex"), checked by Fetch.
func (s *Store) Open(digest string) (*Content, error) { return nil, errUnwritten }

// Create writes a bundle of these items to path, fetching what is missing.
func Create(ctx context.Context, path string, s *Store, items []Item, progress func(Progress)) error {
	return errUnwritten
}

// Inspect lists what a bundle holds, by its lock; it reads no content.
func Inspect(path string) ([]Entry, error) { return nil, errUnwritten }

// Verify reads a whole bundle and checks every digest.
func Verify(ctx context.Context, path string) ([]Entry, error) { return nil, errUnwritten }

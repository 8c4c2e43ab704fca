package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// fetcher is the source that downloads into the cache.
type fetcher struct {
	cache  *cache
	lock   *lock
	mirror mirror
	update bool
	client *http.Client
	// pause between attempts, by attempt; tests shorten it.
	pause []time.Duration
}

func newFetcher(c *cache, l *lock, m mirror, update bool) *fetcher {
	return &fetcher{
		cache: c, lock: l, mirror: m, update: update,
		client: &http.Client{Transport: newTransport()},
		pause:  []time.Duration{time.Second, 4 * time.Second},
	}
}

// whole has nothing to do: content is checked when it comes, and when it is used.
func (f *fetcher) whole(context.Context) error { return nil }

func (f *fetcher) close() error {
	f.client.CloseIdleConnections()
	return nil
}

func (f *fetcher) open(sum string) (*Content, error) {
	file, err := os.Open(f.cache.path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.NotFound, "open artifact", "sha256:%s is not in the cache %s", sum, f.cache.dir).
			WithHint("it has to be fetched first")
	}
	if err != nil {
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open artifact: %w", err)
	}
	return &Content{ReaderAt: file, Closer: file, Size: info.Size()}, nil
}

// ensure takes the item from the cache when what is locked of it is there, and
// downloads it else. What comes must be what was locked; what comes for the
// first time must be what the source's own checksum says.
func (f *fetcher) ensure(ctx context.Context, i Item, report func(done, total int64, cached bool)) (Entry, error) {
	locked, known := f.lock.get(keyOf(i))
	if f.update {
		known = false
	}
	if known {
		here, err := f.cache.check(ctx, locked.SHA256, locked.Size)
		if err != nil {
			return Entry{}, err
		}
		if here {
			report(locked.Size, locked.Size, true)
			return locked, nil
		}
	}
	var (
		e   Entry
		err error
	)
	switch i.Kind {
	case File:
		want := ""
		if known {
			want = locked.SHA256
		}
		e, err = f.file(ctx, i, want, report)
	case Image:
		want := ""
		if known {
			want = locked.Manifest
		}
		e, err = f.image(ctx, i, want, report)
	default:
		return Entry{}, diag.New(diag.Internal, "fetch "+i.String(), "kind %q is not known", i.Kind)
	}
	var bad mismatch
	if errors.As(err, &bad) {
		return Entry{}, lockMismatch(locked, bad.got, f.lock.path)
	}
	return e, err
}

// mismatch says that content differs from what was locked.
type mismatch struct{ got string }

func (m mismatch) Error() string { return "got " + m.got }

// attempt calls try until it gives no error that another try could mend.
func (f *fetcher) attempt(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || !diag.KindOf(err).Retryable() || n >= len(f.pause) {
			return err
		}
		timer := time.NewTimer(f.pause[n])
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

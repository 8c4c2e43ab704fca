package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"kforge.dev/kforge/pkg/diag"
)

// image pulls an image for its architecture into an OCI archive. want is the
// locked digest of its manifest, or "" to take what the tag names.
func (f *fetcher) image(ctx context.Context, i Item, want string, report func(int64, int64, bool)) (Entry, error) {
	entry := Entry{Name: i.Name, Version: i.Version, Arch: i.Arch, Kind: Image, Source: i.Ref}
	err := f.attempt(ctx, func() error {
		img, err := f.resolve(ctx, i)
		if err != nil {
			return err
		}
		digest, err := img.Digest()
		if err != nil {
			return f.pullFailed(ctx, i, err)
		}
		entry.Manifest = digest.String()
		if want != "" && want != entry.Manifest {
			return mismatch{entry.Manifest}
		}
		if p, ok := f.cache.lookupImage(i.Ref, entry.Manifest); ok {
			here, err := f.cache.check(ctx, p.SHA256, p.Size)
			if err != nil {
				return err
			}
			if here {
				entry.SHA256, entry.Size = p.SHA256, p.Size
				report(p.Size, p.Size, true)
				return nil
			}
		}
		return f.pull(ctx, i, img, &entry, report)
	})
	if err != nil {
		return Entry{}, err
	}
	return entry, nil
}

// resolve finds the image that a tag names for the item's architecture.
func (f *fetcher) resolve(ctx context.Context, i Item) (v1.Image, error) {
	ref, err := f.mirror.image(i.Ref)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "fetch "+i.String(), err)
	}
	desc, err := remote.Get(ref,
		remote.WithContext(ctx),
		remote.WithTransport(f.client.Transport),
		remote.WithAuthFromKeychain(f.mirror.keychain()),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: i.Arch}))
	if err != nil {
		return nil, f.pullFailed(ctx, i, err)
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			return nil, f.pullFailed(ctx, i, err)
		}
		m, err := index.IndexManifest()
		if err != nil {
			return nil, f.pullFailed(ctx, i, err)
		}
		if !offers(m, i.Arch) {
			return nil, wrongArch(i, ref.String())
		}
	}
	img, err := desc.Image()
	if err != nil {
		return nil, f.pullFailed(ctx, i, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, f.pullFailed(ctx, i, err)
	}
	if config.Architecture != i.Arch {
		return nil, wrongArch(i, ref.String())
	}
	return img, nil
}

// offers tells whether an index has an image for linux on arch. A child that
// names no platform counts as amd64, as the registry library takes it.
func offers(m *v1.IndexManifest, arch string) bool {
	for _, d := range m.Manifests {
		p := v1.Platform{OS: "linux", Architecture: "amd64"}
		if d.Platform != nil {
			p = *d.Platform
		}
		if p.OS == "linux" && p.Architecture == arch {
			return true
		}
	}
	return false
}

func wrongArch(i Item, ref string) error {
	return diag.New(diag.NotFound, "fetch "+i.String(), "%s holds no image for linux/%s", ref, i.Arch).
		WithHint("add %s for %s to the mirror, or take the hosts of that architecture out of the inventory", i.Ref, i.Arch)
}

// pull writes the image into the cache and completes the entry.
func (f *fetcher) pull(ctx context.Context, i Item, img v1.Image, entry *Entry, report func(int64, int64, bool)) error {
	d, err := f.cache.draft()
	if err != nil {
		return err
	}
	defer d.drop()
	m, err := img.Manifest()
	if err != nil {
		return f.pullFailed(ctx, i, err)
	}
	total := m.Config.Size
	for _, l := range m.Layers {
		total += l.Size
	}
	var before int64
	metered := func(r io.Reader) io.Reader {
		return &meter{r: r, total: total, report: func(done, total int64, _ bool) { report(before+done, total, false) }}
	}
	err = writeImageArchive(d, i.Ref, img, func(r io.Reader, size int64) io.Reader {
		r = metered(r)
		before += size
		return r
	})
	if err != nil {
		return f.pullFailed(ctx, i, err)
	}
	size := d.n
	sum, err := f.cache.keep(d)
	if err != nil {
		return fmt.Errorf("keep %s: %w", i, err)
	}
	entry.SHA256, entry.Size = sum, size
	return f.cache.recordImage(i.Ref, entry.Manifest, pulled{SHA256: sum, Size: size})
}

// pullFailed turns an error of the registry client into ours.
func (f *fetcher) pullFailed(ctx context.Context, i Item, err error) error {
	var status *transport.Error
	if errors.As(err, &status) && ctx.Err() == nil {
		code := status.StatusCode
		for _, d := range status.Errors {
			if d.Code == transport.ManifestUnknownErrorCode || d.Code == transport.NameUnknownErrorCode {
				code = http.StatusNotFound
			}
		}
		from := i.Ref
		if f.mirror.base != nil {
			from = f.mirror.base.Host
		}
		return f.refused(i, from, code, err)
	}
	return f.failed(ctx, i, err)
}

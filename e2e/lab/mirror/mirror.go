// Package mirror lays artifacts out as on their official download sites and registries, and serves them over HTTP, read-only.
package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"kforge.dev/kforge/e2e/lab/artifact"
)

// format is part of the digest of what this package builds. Raise it when the code changes what is built.
const format = 1

// Mirror is a finished layout, ready to be served.
type Mirror struct {
	ID     string // equal IDs serve equal content
	Files  string // directory of HOST/PATH
	Images string // OCI layout
	Beside []Mirror
}

// With serves what other mirrors have too, of other versions: what both have is equal, since it has the same name and version.
func (m Mirror) With(others ...Mirror) Mirror {
	if len(others) == 0 {
		return m
	}
	sum := sha256.New()
	for _, one := range append([]Mirror{m}, others...) {
		sum.Write([]byte(one.ID + "\n"))
	}
	m.ID, m.Beside = hex.EncodeToString(sum.Sum(nil)[:8]), others
	return m
}

// Build lays out the artifacts of set; what the store already has is not built again.
func Build(ctx context.Context, store *artifact.Store, set artifact.Set) (Mirror, error) {
	type recipe struct {
		Format int
		Keys   []string
	}
	keys := func(names ...string) (out []string) {
		for _, name := range names {
			out = append(out, set.Key(name))
		}
		return out
	}
	filesKey := artifact.Key{Name: "mirror-files", Version: set.Versions.Kubernetes, Recipe: recipe{
		format, keys("kubernetes", "containerd", "runc", "cni-plugins", "flannel"),
	}}
	files, err := store.Ensure(ctx, filesKey, func(ctx context.Context, dir string) error { return writeFiles(ctx, set, dir) })
	if err != nil {
		return Mirror{}, err
	}
	imagesKey := artifact.Key{Name: "mirror-images", Version: set.Versions.Kubernetes, Recipe: recipe{
		format, keys("kubernetes", "etcd", "coredns", "pause", "flannel", "flannel-cni-plugin", "probe", "net-root", "proxy-root"),
	}}
	layoutDir, err := store.Ensure(ctx, imagesKey, func(ctx context.Context, dir string) error {
		refs, err := kubeadmImages(ctx, set)
		if err != nil {
			return err
		}
		list, err := images(set, refs)
		if err != nil {
			return err
		}
		return writeImages(ctx, list, dir)
	})
	if err != nil {
		return Mirror{}, err
	}
	sum := sha256.Sum256([]byte(filesKey.String() + imagesKey.String()))
	return Mirror{ID: hex.EncodeToString(sum[:8]), Files: filepath.Clean(files), Images: filepath.Clean(layoutDir)}, nil
}

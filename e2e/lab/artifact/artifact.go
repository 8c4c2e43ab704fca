// Package artifact builds what a Kubernetes cluster is made of from Go modules and Debian packages, and keeps it by recipe.
package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// Artifact is one finished build.
type Artifact struct {
	Name    string
	Version string
	Key     string   // name, version and recipe digest: equal keys are equal content
	Dir     string   // where its files are
	Files   []string // names in Dir
}

// Set is all artifacts of one Kubernetes version, by name: kubernetes, containerd, etcd, coredns, flannel, runc, cni-plugins,
// flannel-cni-plugin, pause, probe, and the root file systems host-root and net-root (each a root.tar).
type Set struct {
	Versions  Versions
	Artifacts []Artifact // in the order of the recipes
}

// File is the path of a file of an artifact.
func (s Set) File(artifact, name string) string {
	for _, a := range s.Artifacts {
		if a.Name == artifact {
			return filepath.Join(a.Dir, name)
		}
	}
	return filepath.Join(artifact, name)
}

// Key is the key of an artifact of the set, empty when there is no such artifact.
func (s Set) Key(artifact string) string {
	for _, a := range s.Artifacts {
		if a.Name == artifact {
			return a.Key
		}
	}
	return ""
}

// Options tells Build how to go about it.
type Options struct {
	// DropBuildCache compiles with a Go build cache that is removed afterwards: for machines short of disk, since the cache of a
	// Kubernetes build takes gigabytes and the artifacts a few hundred megabytes.
	DropBuildCache bool
}

// Build returns the artifacts of v and builds those that the store does not have.
func Build(ctx context.Context, store *Store, v Versions, o Options) (Set, error) {
	goCache := ""
	if o.DropBuildCache {
		dir, err := os.MkdirTemp("", "kforge-lab-gocache-")
		if err != nil {
			return Set{}, fmt.Errorf("making a build cache: %w", err)
		}
		defer os.RemoveAll(dir)
		goCache = dir
	}
	type job struct {
		key   Key
		build func(ctx context.Context, dir string) error
	}
	var jobs []job
	for _, g := range groups(v) {
		jobs = append(jobs, job{
			Key{Name: g.Name, Version: g.Version, Recipe: g},
			func(ctx context.Context, dir string) error { return goBuild(ctx, g, dir, goCache) },
		})
	}
	for _, r := range []rootfs{hostRoot, netRoot, proxyRoot} {
		jobs = append(jobs, job{r.key(), r.build})
	}

	set := Set{Versions: v, Artifacts: make([]Artifact, len(jobs))}
	eg, ctx := errgroup.WithContext(ctx)
	// Two at once: the linker of one works while the compiler of the other does; more only fill the memory.
	eg.SetLimit(2)
	for i, j := range jobs {
		eg.Go(func() error {
			dir, err := store.Ensure(ctx, j.key, j.build)
			if err != nil {
				return err
			}
			files, err := fileNames(dir)
			if err != nil {
				return err
			}
			set.Artifacts[i] = Artifact{Name: j.key.Name, Version: j.key.Version, Key: j.key.String(), Dir: dir, Files: files}
			return nil
		})
	}
	if err := eg.Wait(); err != nil {
		return Set{}, err
	}
	return set, nil
}

func fileNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing artifact: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

package run

import (
	"context"
	"slices"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
)

// BundleOptions say what goes into a bundle, and from where.
type BundleOptions struct {
	Out      string   // file to write
	Versions []string // of Kubernetes; empty takes the inventory's, or the default
	Arches   []string // empty means amd64
	// Mirror is the base URL of a mirror; "official" or "" the official sites.
	Mirror string
	// Inventory gives version, mirror and lock file when it is named.
	Inventory string
	Update    bool // take what the source gives now in place of what was locked
}

// BundleCreate writes an archive of all artifacts of a cluster: those that the
// inventory's needs, without an inventory those of any.
func BundleCreate(ctx context.Context, e *Env, o BundleOptions, progress func(bundle.Progress)) error {
	so := bundle.Options{CacheDir: e.CacheDir, Mirror: o.Mirror, Update: o.Update}
	if o.Mirror == "official" {
		so.Mirror = ""
	}
	needed := func(items bundle.Items) bundle.Items { return items }
	if o.Inventory != "" {
		c, _, err := inventory.Load(o.Inventory)
		if err != nil {
			return err
		}
		// Further control planes will want a load balancer: the bundle is to last.
		needed = func(items bundle.Items) bundle.Items { return items.For(append(rolesOf(c), bundle.LoadBalancer)...) }
		so.LockPath = bundle.LockPath(o.Inventory)
		if o.Mirror == "" {
			so.Mirror = c.Mirror
		}
		if len(o.Versions) == 0 {
			o.Versions = []string{c.Version}
		}
	}
	if len(o.Versions) == 0 {
		o.Versions = []string{inventory.DefaultVersion}
	}
	if len(o.Arches) == 0 {
		o.Arches = []string{"amd64"}
	}
	var items bundle.Items
	for _, v := range o.Versions {
		version, _, err := inventory.ResolveVersion(v)
		if err != nil {
			return diag.Wrap(diag.Invalid, "create bundle", err)
		}
		for _, arch := range o.Arches {
			more, err := bundle.Catalogue(version, arch)
			if err != nil {
				return err
			}
			for _, i := range needed(more) { // versions share containerd, pause and the like
				if !slices.ContainsFunc(items, func(j bundle.Item) bool { return j.Source() == i.Source() && j.Arch == i.Arch }) {
					items = append(items, i)
				}
			}
		}
	}
	store, err := bundle.NewStore(so)
	if err != nil {
		return err
	}
	defer store.Close()
	return bundle.Create(ctx, o.Out, store, items, progress)
}

package run

import (
	"context"
	"fmt"
	"slices"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// artifacts gives the planner what the store holds.
type artifacts struct {
	store  *bundle.Store
	byArch map[string]bundle.Items
	errs   map[string]error // why an architecture has none
}

// openStore opens the bundle that the user named, else the cache with what the
// sites or the mirror give.
func openStore(e *Env, o Options, c *inventory.Cluster) (*bundle.Store, error) {
	if o.Bundle != "" {
		return bundle.OpenBundle(o.Bundle)
	}
	return bundle.NewStore(bundle.Options{
		CacheDir: e.CacheDir,
		LockPath: bundle.LockPath(o.Inventory),
		Mirror:   c.Mirror,
	})
}

// gather makes everything ready that the architectures of these hosts need.
// An architecture without artifacts is noted: it stops its hosts only.
func gather(ctx context.Context, store *bundle.Store, c *inventory.Cluster, hosts map[string]*facts.Host, sink event.Sink) (*artifacts, error) {
	a := &artifacts{store: store, byArch: map[string]bundle.Items{}, errs: map[string]error{}}
	var arches []string
	for _, h := range hosts {
		if !slices.Contains(arches, h.Kernel.Arch) {
			arches = append(arches, h.Kernel.Arch)
		}
	}
	slices.Sort(arches)
	for _, arch := range arches {
		items, err := bundle.Catalogue(c.Version, arch)
		if err == nil {
			items = items.For(rolesOf(c)...)
			err = store.Fetch(ctx, items, progressTo(sink))
		}
		switch {
		case err == nil:
			a.byArch[arch] = items
		case diag.KindOf(err) == diag.NotFound, diag.KindOf(err) == diag.Unsupported:
			a.errs[arch] = err
		default:
			return nil, err
		}
	}
	if len(a.byArch) == 0 {
		for _, arch := range arches {
			return nil, a.errs[arch]
		}
	}
	return a, nil
}

// rolesOf are the roles of hosts that the cluster has, as artifacts know them.
func rolesOf(c *inventory.Cluster) []string {
	roles := []string{bundle.ControlPlane, bundle.Worker}
	switch c.EndpointMode {
	case inventory.EndpointLocal:
		roles = append(roles, bundle.LoadBalancer)
	case inventory.EndpointKubeVIP:
		roles = append(roles, bundle.VirtualIP)
	}
	return roles
}

// progressTo tells of each artifact that really was fetched, once it is there.
func progressTo(sink event.Sink) func(bundle.Progress) {
	return func(p bundle.Progress) {
		switch {
		case p.Cached:
		case p.Finished:
			sink(event.Event{Event: event.Notice, Text: fmt.Sprintf("fetched %s, %d bytes", p.Item, p.Done)})
		default:
			sink(event.Event{Event: event.Progress, Title: "fetch " + p.Item.String(), Done: p.Done, Total: p.Total})
		}
	}
}

// has tells whether hosts of an architecture can be served.
func (a *artifacts) has(arch string) error {
	if _, ok := a.byArch[arch]; ok {
		return nil
	}
	if err := a.errs[arch]; err != nil {
		return err
	}
	return diag.New(diag.NotFound, "find artifacts", "there are none for linux/%s", arch)
}

// File gives a file's blob and version; see plan.Artifacts.
func (a *artifacts) File(name, arch string) (spec.Blob, string, error) {
	if name == plan.CertsProgram {
		blob, err := certsProgram(arch)
		return blob, "", err
	}
	if err := a.has(arch); err != nil {
		return spec.Blob{}, "", err
	}
	item, err := a.byArch[arch].File(name)
	if err != nil {
		return spec.Blob{}, "", err
	}
	blob, err := a.store.Blob(item)
	return blob, item.Version, err
}

// Images gives the images of a role; see plan.Artifacts.
func (a *artifacts) Images(role, arch string) ([]spec.Image, error) {
	if err := a.has(arch); err != nil {
		return nil, err
	}
	var out []spec.Image
	for _, item := range a.byArch[arch].For(role).Images() {
		img, err := a.store.Image(item)
		if err != nil {
			return nil, err
		}
		out = append(out, img)
	}
	return out, nil
}

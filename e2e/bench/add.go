package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/e2e/lab/host"
)

// add takes the last worker out of kforge's cluster and measures how long it
// takes to have a bare one in its place: by the floor, then by kforge.
func (b *bench) add(ctx context.Context) (a added, err error) {
	last := b.lab.Hosts[hostCount-1]
	inventory, err := b.inventoryCopy()
	if err != nil {
		return a, err
	}
	defer os.Remove(inventory)
	if _, err := b.kforge.run(ctx, "node", "remove", last.Name, "-i", inventory, "--yes", "-o", "json"); err != nil {
		return a, err
	}
	if err := b.bare(ctx, []*host.Host{last}); err != nil {
		return a, err
	}
	if a.Floor, err = floor(ctx, "--add", b.lab.Hosts[0].Name, last.Name); err != nil {
		return a, err
	}
	if err := b.done(ctx); err != nil {
		return a, fmt.Errorf("look at what the floor added: %w", err)
	}
	if _, err := b.lab.Hosts[0].Exec(ctx, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "delete", "node", last.Name); err != nil {
		return a, err
	}
	if err := b.bare(ctx, []*host.Host{last}); err != nil {
		return a, err
	}
	r, err := b.kforge.run(ctx, "node", "add", last.Name, "--address", last.Address, "--user", "root", "--role", "worker", "-i", inventory, "--yes", "-o", "json")
	if err != nil {
		return a, err
	}
	if err := b.done(ctx); err != nil {
		return a, fmt.Errorf("look at what kforge added: %w", err)
	}
	a.Kforge, err = r.timing()
	return a, err
}

// inventoryCopy is one that may be changed, beside the lab's: paths in it are
// relative.
func (b *bench) inventoryCopy() (string, error) {
	text, err := os.ReadFile(b.kforge.inventory)
	if err != nil {
		return "", fmt.Errorf("copy the inventory: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(b.kforge.inventory), "bench-*.yaml")
	if err != nil {
		return "", fmt.Errorf("copy the inventory: %w", err)
	}
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("copy the inventory: %w", err)
	}
	return f.Name(), nil
}

// addPage tells of the workers that were added.
func (l labPart) addPage(b *strings.Builder) {
	fmt.Fprintf(b, `
### One more worker

The last worker is removed, its host made bare, and joined again to the cluster
that kforge made, by the floor and by `+"`kforge node add`"+`: from the bare host to a Ready
node with flannel's pod on it. kforge also writes the inventory, checks the host and
measures the ways between it and the others.

| pair | floor s | kforge s | ratio |
| --- | --- | --- | --- |
`)
	for i, p := range l.Pairs {
		fmt.Fprintf(b, "| %d | %.1f | %.1f | %.3f |\n", i+1, p.Add.Floor.Total, p.Add.Kforge.Total, p.addRatio())
	}
}

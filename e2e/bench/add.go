package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/e2e/lab/host"
)

// addByFloor takes the last worker out of the floor's cluster and measures how
// long the floor takes to have a bare one in its place.
func (b *bench) addByFloor(ctx context.Context) (timing, error) {
	first, last := b.lab.Hosts[0], b.lab.Hosts[hostCount-1]
	if _, err := first.Exec(ctx, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "delete", "node", last.Name); err != nil {
		return timing{}, err
	}
	if err := b.bare(ctx, []*host.Host{last}); err != nil {
		return timing{}, err
	}
	t, err := floor(ctx, "--add", first.Name, last.Name)
	if err != nil {
		return timing{}, err
	}
	return t, b.ready(ctx)
}

// addByKforge does the same with kforge's cluster and kforge.
func (b *bench) addByKforge(ctx context.Context) (timing, error) {
	last := b.lab.Hosts[hostCount-1]
	inventory, err := b.inventoryCopy()
	if err != nil {
		return timing{}, err
	}
	defer os.Remove(inventory)
	if _, err := b.kforge.run(ctx, "node", "remove", last.Name, "-i", inventory, "--yes", "-o", "json"); err != nil {
		return timing{}, err
	}
	if err := b.bare(ctx, []*host.Host{last}); err != nil {
		return timing{}, err
	}
	r, err := b.kforge.run(ctx, "node", "add", last.Name, "--address", last.Address, "--user", "root", "--role", "worker", "-i", inventory, "--yes", "-o", "json")
	if err != nil {
		return timing{}, err
	}
	if err := b.ready(ctx); err != nil {
		return timing{}, err
	}
	return r.timing()
}

// ready wants all nodes Ready, which is where an addition ends.
func (b *bench) ready(ctx context.Context) error {
	out, err := b.lab.Hosts[0].Exec(ctx, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "get", "nodes",
		"-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}`)
	if err != nil {
		return err
	}
	if want := strings.Repeat("True ", hostCount); out != want {
		return fmt.Errorf("nodes Ready: %q, want %q", out, want)
	}
	return nil
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

The last worker is removed, its host made bare and joined again: by the floor to the
floor's cluster, by `+"`kforge node add`"+` to kforge's, from the bare host to a Ready
node. kforge also writes the inventory, checks the host and
measures the ways between it and the others.

| pair | floor s | kforge s | ratio |
| --- | --- | --- | --- |
`)
	for i, p := range l.Pairs {
		fmt.Fprintf(b, "| %d | %.1f | %.1f | %.3f |\n", i+1, p.Add.Floor.Total, p.Add.Kforge.Total, p.addRatio())
	}
}

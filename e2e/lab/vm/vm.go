// Package vm makes hosts out of User-mode Linux: machines with a kernel, clock, swap, modules and disks of their own, beside the
// containers and on their network, with no need of KVM.
package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
)

// maxVMs keeps addresses within the hosts' network; the machine's memory is full long before.
const maxVMs = 100

// Options tell what machines to make. The zero value means 1G of memory and no disk but that of the system.
type Options struct {
	Memory string // as the kernel reads it: 512M, 2G
	Disks  Disks  // empty ones, beside that of the system
}

// Disks are raw disks of one size: /dev/ubdb, /dev/ubdc and so on.
type Disks struct {
	Count int
	Size  string // 1G
}

var (
	sizeForm  = regexp.MustCompile(`^[1-9][0-9]*[MG]$`)
	disksForm = regexp.MustCompile(`^([1-7])x([1-9][0-9]*[MG])$`)
)

// ParseDisks reads "2x1G": how many, of which size. The empty string means none.
func ParseDisks(text string) (Disks, error) {
	if text == "" {
		return Disks{}, nil
	}
	m := disksForm.FindStringSubmatch(text)
	if m == nil {
		return Disks{}, fmt.Errorf("reading disks %q: want a number up to 7 and a size, such as 2x1G", text)
	}
	count, err := strconv.Atoi(m[1])
	return Disks{Count: count, Size: m[2]}, err
}

func root(l *host.Lab) string { return filepath.Join(l.State, "vms") }

// newHost is the i-th machine, be it there or not.
func newHost(l *host.Lab, i int) (*host.Host, *machine) {
	name := fmt.Sprintf("v%d", i)
	m := &machine{name: name, index: i, dir: filepath.Join(root(l), name), lab: l}
	m.host = host.New(l, name, host.MachineAddress(i), m)
	return m.host, m
}

// Hosts lists the machines that exist, in the order of their numbers.
func Hosts(l *host.Lab) ([]*host.Host, error) {
	all, err := machines(l)
	var hosts []*host.Host
	for _, m := range all {
		hosts = append(hosts, m.host)
	}
	return hosts, err
}

func machines(l *host.Lab) ([]*machine, error) {
	dirs, err := filepath.Glob(filepath.Join(root(l), "v*"))
	if err != nil {
		return nil, fmt.Errorf("listing virtual machines: %w", err)
	}
	var all []*machine
	for _, dir := range dirs {
		i, err := strconv.Atoi(filepath.Base(dir)[1:])
		if err != nil {
			return nil, fmt.Errorf("listing virtual machines: %s is none of the lab's", dir)
		}
		_, m := newHost(l, i)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *machine) int { return a.index - b.index })
	return all, nil
}

// Up makes machines v1 to vN from a disk image, those that are not there yet, starts those that are off, and returns all N. It does
// not wait for them: see Booted. The hosts' network must be there.
func Up(ctx context.Context, l *host.Lab, image string, n int, o Options) ([]*host.Host, error) {
	if n < 1 || n > maxVMs {
		return nil, fmt.Errorf("making %d virtual machines: want 1 to %d", n, maxVMs)
	}
	if o.Memory == "" {
		o.Memory = "1G"
	}
	if !sizeForm.MatchString(o.Memory) {
		return nil, fmt.Errorf("making virtual machines: memory %q: want a size such as 512M or 2G", o.Memory)
	}
	hosts := make([]*host.Host, n)
	for i := range n {
		h, m := newHost(l, i+1)
		hosts[i] = h
		if err := m.ensure(ctx, image, o); err != nil {
			return nil, fmt.Errorf("making virtual machine %s: %w", m.name, err)
		}
		if err := l.Register(ctx, h); err != nil {
			return nil, err
		}
	}
	eg, ctx := errgroup.WithContext(ctx)
	for i := range n {
		_, m := newHost(l, i+1)
		eg.Go(func() error { return m.Start(ctx) })
	}
	return hosts, eg.Wait()
}

// Booted waits until machines answer over SSH.
func Booted(ctx context.Context, hosts []*host.Host) error {
	eg, ctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		eg.Go(func() error { return h.WaitSSH(ctx, bootTime) })
	}
	return eg.Wait()
}

// Down removes the named machines with their disks and network links, all without names. Nothing of them stays.
func Down(ctx context.Context, l *host.Lab, names ...string) error {
	all, err := machines(l)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(m *machine) bool { return m.name == name }) {
			return fmt.Errorf("removing %s: there is no such virtual machine", name)
		}
	}
	for _, m := range all {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		if err := m.remove(ctx); err != nil {
			return fmt.Errorf("removing %s: %w", m.name, err)
		}
		if err := l.Forget(ctx, m.name); err != nil {
			return err
		}
	}
	if err := os.Remove(root(l)); err != nil && len(names) == 0 && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing virtual machines: %w", err)
	}
	return nil
}

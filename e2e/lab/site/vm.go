package site

import (
	"context"
	"fmt"
	"slices"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/setup"
	"kforge.dev/kforge/e2e/lab/vm"
)

// UpVMs makes virtual machines v1 to vN on the hosts' network, and the network when it is not there. It needs neither the mirror
// nor the containers, and leaves them alone: those can be made while the machines boot.
func UpVMs(ctx context.Context, o Options, n int, v vm.Options) ([]*host.Host, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	hosts, err := powerOn(ctx, o, n, v)
	if err != nil {
		return nil, err
	}
	if err := vm.Booted(ctx, hosts); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Log, "%d virtual machines answer\n", len(hosts))
	return hosts, nil
}

func powerOn(ctx context.Context, o Options, n int, v vm.Options) ([]*host.Host, error) {
	unlock, err := lock(o.State)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := setup.VirtualMachines(ctx, o.Log); err != nil {
		return nil, err
	}
	if err := setup.Machine(ctx, o.State, o.Log); err != nil {
		return nil, err
	}
	image, err := artifact.VMDisk(ctx, &artifact.Store{Dir: o.Cache, Log: o.Log})
	if err != nil {
		return nil, err
	}
	lab := &host.Lab{State: o.State, Log: o.Log}
	if err := lab.EnsureNetwork(ctx); err != nil {
		return nil, err
	}
	return vm.Up(ctx, lab, image, n, v)
}

// Box makes the Vagrant box and returns its file.
func Box(ctx context.Context, o Options) (string, error) {
	o, err := o.complete()
	if err != nil {
		return "", err
	}
	if err := setup.Box(ctx, o.Log); err != nil {
		return "", err
	}
	return artifact.Box(ctx, &artifact.Store{Dir: o.Cache, Log: o.Log})
}

// DownVMs removes the named virtual machines, all without names.
func DownVMs(ctx context.Context, o Options, names ...string) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	unlock, err := lock(o.State)
	if err != nil {
		return err
	}
	defer unlock()
	return vm.Down(ctx, &host.Lab{State: o.State, Log: o.Log}, names...)
}

// Hosts lists containers and virtual machines alike, the named ones or all.
func Hosts(ctx context.Context, o Options, names ...string) ([]*host.Host, error) {
	lab, err := Open(o)
	if err != nil {
		return nil, err
	}
	machines, err := vm.Hosts(lab)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		hosts, err := lab.Hosts(ctx)
		return append(hosts, machines...), err
	}
	var out []*host.Host
	for _, name := range names {
		if i := slices.IndexFunc(machines, func(h *host.Host) bool { return h.Name == name }); i >= 0 {
			out = append(out, machines[i])
			continue
		}
		h, err := lab.Host(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

// Host finds one host of either kind by name.
func Host(ctx context.Context, o Options, name string) (*host.Host, error) {
	hosts, err := Hosts(ctx, o, name)
	if err != nil {
		return nil, err
	}
	return hosts[0], nil
}

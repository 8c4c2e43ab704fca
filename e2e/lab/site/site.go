// Package site is the whole lab in a few calls: machine, artifacts, mirror, network and hosts.
package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/mirror"
	"kforge.dev/kforge/e2e/lab/setup"
	"kforge.dev/kforge/e2e/lab/vm"
)

// Options tell what lab to make. The zero value of each field but Log means its default.
type Options struct {
	Hosts          int       // how many; 0 means 3
	Kubernetes     string    // version, such as v1.37.2
	Beside         []string  // further versions that the mirror serves, for upgrades
	State          string    // state directory; default .lab at the root of the module that holds the working directory
	Cache          string    // of artifacts; default artifact.DefaultDir
	DropBuildCache bool      // see artifact.Options
	Log            io.Writer // told of progress; nil means nobody
}

// Lab is a lab that runs.
type Lab struct {
	host.Lab
	Hosts    []*host.Host
	Mirror   string // base URL of the mirror, without a slash at the end
	Registry string // HOST:PORT of the mirror's registry, plain HTTP
	Root     host.Root
	Versions artifact.Versions
}

// Up brings the lab up: everything that is there already is kept. It returns when the mirror and all hosts answer.
func Up(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(o.State)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := setup.Machine(ctx, o.State, o.Log); err != nil {
		return nil, err
	}
	set, m, err := build(ctx, o)
	if err != nil {
		return nil, err
	}
	lab := &Lab{
		Lab:    host.Lab{State: o.State, Log: o.Log},
		Mirror: "http://" + MirrorAddress, Registry: MirrorAddress,
		Root: root(set), Versions: set.Versions,
	}
	if err := lab.EnsureNetwork(ctx); err != nil {
		return nil, err
	}
	if err := startMirror(ctx, o, m); err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Log, "mirror answers at %s\n", lab.Mirror)
	lab.Hosts, err = lab.Up(ctx, lab.Root, o.Hosts)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.Log, "%d hosts answer\n", len(lab.Hosts))
	return lab, nil
}

// Bare makes bare hosts and nothing else: no artifacts, no mirror. Hosts that are there are replaced.
func Bare(ctx context.Context, o Options) ([]*host.Host, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	unlock, err := lock(o.State)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := setup.Machine(ctx, o.State, o.Log); err != nil {
		return nil, err
	}
	dir, key, err := artifact.HostRoot(ctx, &artifact.Store{Dir: o.Cache, Log: o.Log})
	if err != nil {
		return nil, err
	}
	lab, root := &host.Lab{State: o.State, Log: o.Log}, host.Root{Tar: filepath.Join(dir, "root.tar"), Key: key}
	there, err := lab.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	if len(there) > 0 {
		if err := lab.Reset(ctx, root); err != nil {
			return nil, err
		}
	}
	return lab.Up(ctx, root, o.Hosts)
}

// Down removes hosts, virtual machines, network, mirror process and keys. The artifacts stay in the cache, the log of dockerd in the state directory.
func Down(ctx context.Context, o Options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	unlock, err := lock(o.State)
	if err != nil {
		return err
	}
	defer unlock()
	if err := stopMirror(ctx, o.State); err != nil {
		return err
	}
	lab := &host.Lab{State: o.State, Log: o.Log}
	// Before the network goes: their links are in its bridge.
	if err := vm.Down(ctx, lab); err != nil {
		return err
	}
	return lab.Down(ctx)
}

// Reset makes the named hosts bare again, all without names.
func Reset(ctx context.Context, o Options, names ...string) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	unlock, err := lock(o.State)
	if err != nil {
		return err
	}
	defer unlock()
	set, _, err := build(ctx, o)
	if err != nil {
		return err
	}
	lab := host.Lab{State: o.State, Log: o.Log}
	return lab.Reset(ctx, root(set), names...)
}

// Open is the lab that is there, whatever its state, for looking at hosts and breaking them.
func Open(o Options) (*host.Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	return &host.Lab{State: o.State, Log: o.Log}, nil
}

// Artifacts builds everything, the mirror's layout included.
func Artifacts(ctx context.Context, o Options) (artifact.Set, mirror.Mirror, error) {
	o, err := o.complete()
	if err != nil {
		return artifact.Set{}, mirror.Mirror{}, err
	}
	return build(ctx, o)
}

// Setup makes the machine ready.
func Setup(ctx context.Context, o Options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	return setup.Machine(ctx, o.State, o.Log)
}

func build(ctx context.Context, o Options) (artifact.Set, mirror.Mirror, error) {
	versions, err := artifact.For(o.Kubernetes)
	if err != nil {
		return artifact.Set{}, mirror.Mirror{}, err
	}
	store := &artifact.Store{Dir: o.Cache, Log: o.Log}
	set, err := artifact.Build(ctx, store, versions, artifact.Options{DropBuildCache: o.DropBuildCache})
	if err != nil {
		return artifact.Set{}, mirror.Mirror{}, err
	}
	m, err := mirror.Build(ctx, store, set)
	if err != nil {
		return artifact.Set{}, mirror.Mirror{}, err
	}
	var others []mirror.Mirror
	for _, version := range o.Beside {
		other := o
		other.Kubernetes, other.Beside = version, nil
		_, one, err := build(ctx, other)
		if err != nil {
			return artifact.Set{}, mirror.Mirror{}, err
		}
		others = append(others, one)
	}
	return set, m.With(others...), nil
}

func root(set artifact.Set) host.Root {
	return host.Root{Tar: set.File("host-root", "root.tar"), Key: set.Key("host-root")}
}

func (o Options) complete() (Options, error) {
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Kubernetes == "" {
		o.Kubernetes = artifact.DefaultKubernetes
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.State == "" {
		module, err := moduleRoot()
		if err != nil {
			return o, err
		}
		o.State = filepath.Join(module, ".lab")
	}
	if o.Cache == "" {
		dir, err := artifact.DefaultDir()
		if err != nil {
			return o, err
		}
		o.Cache = dir
	}
	if err := os.MkdirAll(o.State, 0o755); err != nil {
		return o, fmt.Errorf("making the state directory: %w", err)
	}
	state, err := filepath.Abs(o.State)
	if err != nil {
		return o, fmt.Errorf("finding the state directory: %w", err)
	}
	o.State = state
	return o, nil
}

// moduleRoot is the nearest directory above the working directory that holds a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding the module: no go.mod above the working directory")
		}
		dir = parent
	}
}

// lock keeps two programs from changing one lab at once: the second one waits for the first.
func lock(state string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the lab: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the lab: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}

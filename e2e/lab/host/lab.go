// Package host makes bare hosts out of containers: systemd, sshd, a network of their own, and faults to be thrown at them.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Gateway is this machine's address on the hosts' network.
const Gateway = "10.88.17.1"

// TimePort is where the machine tells the time there, beside any time server of its own.
const TimePort = "5123"

const (
	network   = "kforge-lab" // also the name of the bridge
	subnet    = "10.88.17.0/24"
	label     = "kforge.lab=1"
	nameLabel = "kforge.lab.host"
	keysLabel = "kforge.lab.keys" // which lab made it: a digest of its public keys
	maxHosts  = 20                // n20 is at 10.88.17.30, and virtual machines begin at .31
	// namedMachines are virtual machines that containers know by name; Docker tells them of each other.
	namedMachines = 4
	bootTime      = 90 * time.Second // far above the usual 2 s: many hosts may share few cores
)

// Lab is the hosts of this machine. There is one lab per machine, since its network is fixed.
type Lab struct {
	State string    // directory of keys, known_hosts and ssh_config
	Log   io.Writer // told of progress, a line each
}

// Root is a root file system for hosts.
type Root struct {
	Tar string // path
	Key string // names its content
}

func container(name string) string { return network + "-" + name }

// address of the i-th host, from 1: 10.88.17.11 for the first.
func address(i int) string { return fmt.Sprintf("10.88.17.%d", 10+i) }

// MachineAddress is that of the i-th virtual machine, from 1: 10.88.17.31 for v1.
func MachineAddress(i int) string { return fmt.Sprintf("10.88.17.%d", 30+i) }

// Names are lines of /etc/hosts for all containers that there may be, and for a few virtual machines.
func Names() string {
	var b strings.Builder
	for i := range maxHosts {
		fmt.Fprintf(&b, "%s n%d\n", address(i+1), i+1)
	}
	for i := range namedMachines {
		fmt.Fprintf(&b, "%s v%d\n", MachineAddress(i+1), i+1)
	}
	return b.String()
}

// docked is the i-th host made of a container.
func (l *Lab) docked(i int) *Host {
	name := fmt.Sprintf("n%d", i)
	return New(l, name, address(i), docked{name})
}

// KeyFile is the private key that all users of all hosts accept.
func (l *Lab) KeyFile() string { return filepath.Join(l.State, "id_ed25519") }

// KnownHostsFile names every host's key, under its address and its name.
func (l *Lab) KnownHostsFile() string { return filepath.Join(l.State, "known_hosts") }

// SSHConfigFile lets ssh -F reach the hosts by name.
func (l *Lab) SSHConfigFile() string { return filepath.Join(l.State, "ssh_config") }

func (l *Lab) hostKeyFile(name string) string {
	return filepath.Join(l.State, "hosts", name, "ssh_host_ed25519_key")
}

// Bridge is the name of the network interface of this machine that joins the hosts.
func (l *Lab) Bridge(ctx context.Context) (string, error) {
	name, err := docker(ctx, "network", "inspect", "--format", `{{index .Options "com.docker.network.bridge.name"}}`, network)
	if err == nil && name == "" {
		err = fmt.Errorf("finding the bridge: docker network %s names none", network)
	}
	return name, err
}

// EnsureNetwork makes the hosts' network, so that Gateway is an address of this machine.
func (l *Lab) EnsureNetwork(ctx context.Context) error { return ensureNetwork(ctx) }

// Up makes hosts n1 to nN of root, those that are not there yet, starts those that are stopped, and returns all N when every
// one answers over SSH.
func (l *Lab) Up(ctx context.Context, root Root, n int) ([]*Host, error) {
	if n < 1 || n > maxHosts {
		return nil, fmt.Errorf("making %d hosts: want 1 to %d", n, maxHosts)
	}
	if err := ensureNetwork(ctx); err != nil {
		return nil, err
	}
	var hosts []*Host
	for i := 1; i <= n; i++ {
		hosts = append(hosts, l.docked(i))
	}
	if err := l.create(ctx, root, hosts); err != nil {
		return nil, err
	}
	return hosts, nil
}

// create makes and starts hosts, all at once, and writes the files that tell how to reach the lab's hosts.
func (l *Lab) create(ctx context.Context, root Root, hosts []*Host) error {
	image, err := ensureImage(ctx, root.Tar, root.Key)
	if err != nil {
		return err
	}
	if _, err := ensureKey(l.KeyFile(), "kforge-lab"); err != nil {
		return err
	}
	for _, h := range hosts {
		if _, err := ensureKey(l.hostKeyFile(h.Name), h.Name); err != nil {
			return err
		}
	}
	eg, egCtx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		eg.Go(func() error {
			if err := h.ensure(egCtx, image); err != nil {
				return fmt.Errorf("making host %s: %w", h.Name, err)
			}
			return h.WaitSSH(egCtx, bootTime)
		})
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	return l.writeAccess(ctx)
}

// Reset replaces hosts by bare ones with the same names, addresses and host keys. Without names it resets all.
func (l *Lab) Reset(ctx context.Context, root Root, names ...string) error {
	hosts, err := l.Pick(ctx, names...)
	if err != nil {
		return err
	}
	if len(hosts) == 0 {
		return errors.New("resetting: the lab has no hosts")
	}
	eg, egCtx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		eg.Go(func() error { return h.remove(egCtx) })
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	return l.create(ctx, root, hosts)
}

// Hosts lists the hosts that exist, in the order of their numbers.
func (l *Lab) Hosts(ctx context.Context) ([]*Host, error) {
	names, err := dockerLines(ctx, "ps", "--all", "--filter", "label="+label, "--format", `{{.Label "`+nameLabel+`"}}`)
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for _, name := range names {
		var i int
		if _, err := fmt.Sscanf(name, "n%d", &i); err != nil {
			return nil, fmt.Errorf("listing hosts: %q is not a host name of the lab", name)
		}
		hosts = append(hosts, l.docked(i))
	}
	sort.Slice(hosts, func(a, b int) bool {
		return netip.MustParseAddr(hosts[a].Address).Less(netip.MustParseAddr(hosts[b].Address))
	})
	return hosts, nil
}

// Host finds one host by name.
func (l *Lab) Host(ctx context.Context, name string) (*Host, error) {
	hosts, err := l.Pick(ctx, name)
	if err != nil {
		return nil, err
	}
	return hosts[0], nil
}

// Pick finds hosts by name; without names it lists all.
func (l *Lab) Pick(ctx context.Context, names ...string) ([]*Host, error) {
	all, err := l.Hosts(ctx)
	if err != nil || len(names) == 0 {
		return all, err
	}
	byName := map[string]*Host{}
	var known []string
	for _, h := range all {
		byName[h.Name] = h
		known = append(known, h.Name)
	}
	var out []*Host
	for _, name := range names {
		if byName[name] == nil {
			return nil, fmt.Errorf("finding host %s: the lab has [%s]", name, strings.Join(known, " "))
		}
		out = append(out, byName[name])
	}
	return out, nil
}

// Down removes hosts, volumes, images, network, keys and what tells how to reach the hosts.
func (l *Lab) Down(ctx context.Context) error {
	ids, err := dockerLines(ctx, "ps", "--all", "--quiet", "--filter", "label="+label)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		if _, err := docker(ctx, append([]string{"rm", "--force", "--volumes"}, ids...)...); err != nil {
			return err
		}
	}
	for _, kind := range []string{"network", "image"} {
		found, err := dockerLines(ctx, kind, "ls", "--quiet", "--filter", "label="+label)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			if _, err := docker(ctx, append([]string{kind, "rm"}, found...)...); err != nil {
				return err
			}
		}
	}
	for _, path := range []string{l.KeyFile(), l.KeyFile() + ".pub", l.KnownHostsFile(), l.SSHConfigFile(), filepath.Join(l.State, "hosts")} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing keys: %w", err)
		}
	}
	return nil
}

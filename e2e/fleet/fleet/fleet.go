// Package fleet is hundreds of hosts in one process: SSH servers that run the
// real agent on temporary folders, a cluster API for them to join, and a mirror
// of artifacts. The hosts break on request in the ways that real ones do. What
// is not real: the programs of a host are acted, and a killed agent ends its
// requests instead of vanishing between two instructions, unless agents are
// processes of their own ([Options].Program).
package fleet

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/ssh/sshtest"
)

// Options of a fleet.
type Options struct {
	Hosts int // at least 1
	// ControlPlanes are the first of them; 0 means 1.
	ControlPlanes int
	// Latency is how much later everything comes that is sent to a host: a round
	// trip takes so long.
	Latency time.Duration
	// Connect is timeouts.connect of the inventory; 0 means 30 s, for all hosts
	// share this machine.
	Connect time.Duration
	// TimeoutScale of hosts, by name, which they have from their class; 1 for
	// the others.
	TimeoutScale map[string]float64
	// Mirror is shared with other fleets; nil starts one for this fleet alone.
	Mirror *Mirror
	// Program, when not empty, runs agents as processes of their own: an
	// executable whose main calls AgentProcess first.
	Program string
	// Cold hosts have no agent yet and take the upload of one.
	Cold bool
	// Shell has hosts run every command with this machine's /bin/sh, in their own
	// folder, with the rights of this process: for tools that work by a shell. Only
	// who has the fleet's key can sign in.
	Shell bool
}

// Fleet is the hosts and what they share. Close it.
type Fleet struct {
	Machines []*Machine
	API      *API
	// Inventory is the file that names all hosts.
	Inventory string

	dir     string
	mirror  *Mirror // nil when it is shared
	key     *sshtest.Key
	closing sync.Once
}

// maxHosts is how many /24 there are in half of 10.0.0.0/8.
const maxHosts = 1 << 15

// New starts a fleet below dir, an empty folder.
func New(dir string, o Options) (*Fleet, error) {
	if o.Hosts < 1 || o.Hosts > maxHosts {
		return nil, fmt.Errorf("start fleet: %d hosts", o.Hosts)
	}
	if o.Connect == 0 {
		o.Connect = 30 * time.Second
	}
	key, err := sshtest.NewKey()
	if err != nil {
		return nil, fmt.Errorf("start fleet: %w", err)
	}
	f := &Fleet{
		Machines: make([]*Machine, o.Hosts), API: newAPI(), dir: dir, key: key,
		Inventory: filepath.Join(dir, "inventory.yaml"),
	}
	if o.Mirror == nil {
		if f.mirror, err = NewMirror(); err != nil {
			f.API.Stop()
			return nil, fmt.Errorf("start fleet: %w", err)
		}
		o.Mirror = f.mirror
	}
	dns := newNames(o.Hosts)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range f.Machines {
		g.Go(func() (err error) {
			f.Machines[i], err = newMachine(filepath.Join(dir, "hosts", hostName(i)), i, o, f.API, key, dns)
			return err
		})
	}
	if err = g.Wait(); err == nil {
		err = f.write(o)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start fleet: %w", err), f.Close())
	}
	return f, nil
}

// hostName of the host at i: h001 is the control plane.
func hostName(i int) string { return fmt.Sprintf("h%03d", i+1) }

// nodeIP of the host at i, in one /16.
func nodeIP(i int) string { return fmt.Sprintf("10.99.%d.%d", i/250, i%250+1) }

// podBits is the length of a pod network's prefix with a /24 for each host.
func podBits(hosts int) int { return min(16, 24-bits.Len(uint(hosts-1))) }

// write writes the inventory, the key and known_hosts.
func (f *Fleet) write(o Options) error {
	private, err := f.key.PEM("")
	if err != nil {
		return err
	}
	var known, inv strings.Builder
	fmt.Fprintf(&inv, `apiVersion: kforge.dev/v1alpha1
kind: Cluster
metadata: {name: fleet}
spec:
  ssh: {user: root, identityFiles: [./key], knownHosts: ./known_hosts, hostKeys: strict}
  artifacts: {mirror: %q}
  timeouts: {connect: %s, ready: 30s}
  network: {podCIDR: 10.128.0.0/%d}
  checks: {route: {severity: "off", reason: "all hosts share one network stack, and send with one address"}}
%s  hosts:
`, o.Mirror.URL, o.Connect, podBits(o.Hosts), classes(o))
	for i, m := range f.Machines {
		role := "worker"
		if i < max(1, o.ControlPlanes) {
			role = "control-plane"
		}
		class := ""
		if o.TimeoutScale[m.Name] != 0 {
			class = ", class: class-of-" + m.Name
		}
		fmt.Fprintf(&inv, "    - {name: %s, address: 127.0.0.1, port: %d, nodeIP: %s, roles: [%s]%s}\n", m.Name, m.port, m.ip, role, class)
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s\n", m.port, m.hostKey.Public)
	}
	for file, content := range map[string]string{"key": string(private), "known_hosts": known.String(), "inventory.yaml": inv.String()} {
		if err := os.WriteFile(filepath.Join(f.dir, file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// classes are those of hosts that are slow, or in haste.
func classes(o Options) string {
	if len(o.TimeoutScale) == 0 {
		return ""
	}
	text := "  classes:\n"
	for _, name := range slices.Sorted(maps.Keys(o.TimeoutScale)) {
		text += fmt.Sprintf("    class-of-%s: {timeoutScale: %g}\n", name, o.TimeoutScale[name])
	}
	return text
}

// Machine gives a host by name, nil when there is none.
func (f *Fleet) Machine(name string) *Machine {
	for _, m := range f.Machines {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Heal takes all faults away.
func (f *Fleet) Heal() error {
	var errs []error
	for _, m := range f.Machines {
		errs = append(errs, m.Break(Faults{}))
	}
	return errors.Join(errs...)
}

// Stats adds up what the hosts' SSH servers have seen.
func (f *Fleet) Stats() sshtest.Stats {
	var sum sshtest.Stats
	for _, m := range f.Machines {
		s := m.Stats()
		sum.Connections += s.Connections
		sum.SignIns += s.SignIns
		sum.Sessions += s.Sessions
		sum.Execs += s.Execs
		sum.SFTP += s.SFTP
		sum.Tunnels += s.Tunnels
		sum.GlobalRequests += s.GlobalRequests
	}
	return sum
}

// Close stops everything and waits for it. The folder stays.
func (f *Fleet) Close() error {
	f.closing.Do(f.close)
	return nil
}

func (f *Fleet) close() {
	var wg sync.WaitGroup
	for _, m := range f.Machines {
		if m != nil {
			wg.Go(m.close)
		}
	}
	wg.Wait()
	f.API.Stop()
	if f.mirror != nil {
		f.mirror.Close()
	}
}

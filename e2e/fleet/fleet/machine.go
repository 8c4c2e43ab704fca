package fleet

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/facts/collect"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/ssh/sshtest"
	"kforge.dev/kforge/pkg/wire"
)

// Machine is one host: a folder that is its root, and the server in front.
type Machine struct {
	Name string
	Root string
	Host *resourcetest.Host

	ip      string
	hostKey *sshtest.Key
	key     *sshtest.Key // the user's
	port    int
	latency time.Duration
	cold    bool
	program string          // of agents that are processes; "" for those of this one
	shell   sshtest.Handler // nil: no commands but kforge's launcher
	names   *names
	place   *place
	copies  sync.WaitGroup

	routes map[string]string // of tunnels: the load balancer leads to the API

	mu       sync.Mutex
	server   *sshtest.Server // nil while connections are refused
	past     sshtest.Stats   // of servers that were closed
	faults   Faults
	running  int           // agents
	idle     chan struct{} // closed while running is 0
	requests map[wire.Type]int
	programs int   // run by agents since Break
	frames   int   // requests since Break
	fed      int64 // bytes that agents were given since Break
	stopped  []*os.Process
	last     time.Time // when the last request came
}

func newMachine(root string, i int, o Options, api *API, key *sshtest.Key, dns *names) (*Machine, error) {
	host, err := newTree(root, i)
	if err != nil {
		return nil, err
	}
	hostKey, err := sshtest.NewKey()
	if err != nil {
		return nil, err
	}
	m := &Machine{
		Name: hostName(i), Root: root, Host: host, ip: nodeIP(i), hostKey: hostKey, key: key,
		routes:  map[string]string{inventory.LocalEndpoint: strings.TrimPrefix(api.URL, "https://")},
		latency: o.Latency, cold: o.Cold, names: dns, program: o.Program, idle: make(chan struct{}), requests: map[wire.Type]int{},
	}
	close(m.idle)
	if o.Shell {
		m.shell = sshtest.Shell(root, "HOME="+root)
	}
	if m.place, err = reserve(); err != nil {
		return nil, err
	}
	m.port = m.place.port
	actKubeadm(m, api)
	if err := m.listen(); err != nil {
		m.place.close()
		return nil, err
	}
	return m, nil
}

// listen opens the door. m.mu is held, or nobody else knows m.
func (m *Machine) listen() error {
	l, err := m.place.listen()
	if err != nil {
		return err
	}
	m.server, err = sshtest.Start(sshtest.Options{
		Accept: []string{m.key.Public}, Root: m.Root, HostKey: m.hostKey, Listener: l,
		Handler: m.exec, Faults: m.faults.ssh(m.latency), Routes: m.routes,
	})
	return err
}

// Break replaces the host's faults; the zero value heals it. Connections that
// are open are cut where the fault is one of the network.
func (m *Machine) Break(f Faults) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults, m.programs, m.frames, m.fed = f, 0, 0, 0
	m.resume()
	switch {
	case f.Refuse && m.server != nil:
		server := m.server
		m.server = nil
		m.mu.Unlock()
		server.Close() // waits for agents, which take m.mu
		m.mu.Lock()
		m.past = add(m.past, server.Stats())
	case !f.Refuse && m.server == nil:
		return m.listen()
	case m.server != nil:
		m.server.SetFaults(f.ssh(m.latency))
	}
	return nil
}

// Cut breaks the connections that are open now.
func (m *Machine) Cut() {
	m.mu.Lock()
	server := m.server
	m.mu.Unlock()
	if server != nil {
		server.Cut()
	}
}

// Stats of the host's SSH server.
func (m *Machine) Stats() sshtest.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.server == nil {
		return m.past
	}
	return add(m.past, m.server.Stats())
}

// Requests counts what agents were asked since the last call.
func (m *Machine) Requests() map[wire.Type]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := maps.Clone(m.requests)
	clear(m.requests)
	return out
}

// Port of the host's SSH server on 127.0.0.1.
func (m *Machine) Port() int { return m.port }

// IP is the host's address among the others.
func (m *Machine) IP() string { return m.ip }

// Last tells when the last request came, but for pings.
func (m *Machine) Last() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Changes counts, in what Requests gave, those that may change what a host
// holds. The lock dies with the agent and is none.
func Changes(requests map[wire.Type]int) (n int) {
	for t, count := range requests {
		if t.Mutating() && t != wire.TLock {
			n += count
		}
	}
	return n
}

// Idle waits until no agent runs on the host.
func (m *Machine) Idle(ctx context.Context) error {
	m.mu.Lock()
	idle := m.idle
	m.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s's agents to end: %w", m.Name, context.Cause(ctx))
	}
}

// begin and end count agents.
func (m *Machine) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running++; m.running == 1 {
		m.idle = make(chan struct{})
	}
}

func (m *Machine) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running--; m.running == 0 {
		close(m.idle)
	}
}

func (m *Machine) now() Faults {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.faults
}

// facts are those of the folder, with what a folder cannot have: a network
// card, a disk of its own, units that run and a clock.
func (m *Machine) facts(ctx context.Context, root string) (*facts.Host, error) {
	h, err := collect.Collect(ctx, root)
	if err != nil {
		return nil, err
	}
	h.Interfaces = []facts.Interface{{Name: "eth0", MTU: 1500, Up: true, Addresses: []string{m.ip + "/16"}}}
	for i := range h.Paths {
		h.Paths[i].Total, h.Paths[i].Available = 200<<30, 150<<30
		h.Paths[i].Inodes, h.Paths[i].InodesFree = 1<<24, 1<<23
	}
	h.Containerd.Active = m.Host.Unit("containerd.service").Active == "active"
	h.Kubernetes.KubeletActive = m.Host.Unit("kubelet.service").Active == "active"
	h.Time.Unix += m.now().ClockAhead.Seconds()
	return h, nil
}

func (m *Machine) close() {
	m.mu.Lock()
	server := m.server
	m.server = nil
	m.resume()
	m.mu.Unlock()
	if server != nil {
		server.Close()
	}
	m.copies.Wait()
	m.place.close()
}

func add(a, b sshtest.Stats) sshtest.Stats {
	a.Connections += b.Connections
	a.SignIns += b.SignIns
	a.Sessions += b.Sessions
	a.Execs += b.Execs
	a.SFTP += b.SFTP
	a.Tunnels += b.Tunnels
	a.GlobalRequests += b.GlobalRequests
	a.MaxOpening = max(a.MaxOpening, b.MaxOpening)
	return a
}

package run

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/host"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/ssh"
	"kforge.dev/kforge/pkg/wire"
)

// fleet is the hosts of an inventory, connected.
type fleet struct {
	cluster *inventory.Cluster
	contact []inventory.ResolvedHost // to be reached
	dials   int                      // at one time
	dialer  *ssh.Dialer
	agents  *agentbin.Set
	options host.Options
	sink    event.Sink

	mu    sync.Mutex
	hosts map[string]*host.Host
	lost  int // mutating requests of hosts that were reconnected

	facts       map[string]*facts.Host
	unreachable map[string]error
	met         *meetings
	// leaving are hosts on their way out: the cluster is asked through others.
	leaving map[string]bool
}

// planes gives the control planes in the order in which the cluster is asked
// through them.
func (f *fleet) planes() []inventory.ResolvedHost {
	planes := f.cluster.ControlPlanes()
	slices.SortStableFunc(planes, func(a, b inventory.ResolvedHost) int {
		switch {
		case f.leaving[a.Name] == f.leaving[b.Name]:
			return 0
		case f.leaving[a.Name]:
			return 1
		}
		return -1
	})
	return planes
}

func newFleet(e *Env, c *inventory.Cluster, mode wire.Mode, lock wire.Lock, sink event.Sink) (*fleet, error) {
	warn := func(text string) { sink(event.Event{Event: event.Warning, Text: text}) }
	dialer, err := ssh.NewDialer(ssh.Config{
		IdentityFiles:  c.SSH.IdentityFiles,
		KnownHosts:     c.SSH.KnownHosts,
		HostKeys:       c.SSH.HostKeys,
		Bastions:       c.SSH.Bastions,
		ConfigFile:     e.SSHConfig,
		ConnectTimeout: c.Connect,
		Passphrase:     e.Passphrase,
		Warn:           warn,
		UseAgent:       e.UseAgent,
	})
	if err != nil {
		return nil, err
	}
	return &fleet{
		cluster: c, contact: c.Hosts, dials: parallel["dial"], dialer: dialer, agents: e.Agents, sink: sink,
		options: host.Options{
			Dialer: dialer, Agents: e.Agents, AgentDir: c.SSH.AgentDir, Mode: mode, Lock: lock,
			SudoPassword: e.SudoPassword,
			Warn: func(name, text string) {
				sink(event.Event{Event: event.Warning, Host: name, Text: text})
			},
		},
		hosts: map[string]*host.Host{}, facts: map[string]*facts.Host{}, unreachable: map[string]error{},
		met: newMeetings(),
	}, nil
}

// connect reaches hosts side by side and reads their facts. A host that
// cannot be reached is noted and does not stop the others; a lock held by
// somebody else stops all, since two runs must not work on one cluster.
func (f *fleet) connect(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.dials)
	for _, h := range f.contact {
		g.Go(func() error {
			f.state(h.Name, "connecting", nil)
			got, err := f.meet(ctx, h)
			if err != nil && (diag.KindOf(err) == diag.Locked || ctx.Err() != nil) {
				return err
			}
			f.note(h.Name, got, err)
			f.met.tell(h.Name)
			return nil
		})
	}
	return g.Wait()
}

// note keeps what became of a host.
func (f *fleet) note(name string, got *facts.Host, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.unreachable[name] = err
		f.state(name, "unreachable", err)
		return
	}
	f.facts[name] = got
	f.state(name, "connected", nil)
}

func (f *fleet) meet(ctx context.Context, h inventory.ResolvedHost) (*facts.Host, error) {
	conn, err := f.dial(ctx, h)
	if err != nil {
		return nil, err
	}
	return conn.Facts(ctx)
}

// look reads the facts of hosts anew, of those that there are facts of, and gives
// those that answered no more.
func (f *fleet) look(ctx context.Context) map[string]error {
	lost := map[string]error{}
	var g errgroup.Group
	g.SetLimit(f.dials)
	for _, h := range f.contact {
		f.mu.Lock()
		known := f.facts[h.Name] != nil
		f.mu.Unlock()
		if !known {
			continue
		}
		g.Go(func() error {
			got, err := f.lookAt(ctx, h)
			f.mu.Lock()
			defer f.mu.Unlock()
			if err != nil {
				lost[h.Name] = err
				return nil
			}
			f.facts[h.Name] = got
			return nil
		})
	}
	g.Wait() // its functions give no error
	return lost
}

func (f *fleet) lookAt(ctx context.Context, h inventory.ResolvedHost) (*facts.Host, error) {
	conn, err := f.host(ctx, h.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, scaled(time.Minute, h))
	defer cancel()
	return conn.Facts(ctx)
}

func (f *fleet) dial(ctx context.Context, h inventory.ResolvedHost) (*host.Host, error) {
	o := f.options
	// Dialling has its own deadline; the rest is an upload of a few megabytes.
	o.StartTimeout, o.Slow = scaled(f.cluster.Connect+time.Minute, h), h.TimeoutScale
	conn, err := host.Connect(ctx, o, ssh.Target{Name: h.Name, Address: h.Address, User: h.User, Port: h.Port, HostKey: h.HostKey, ConnectTimeout: scaled(f.cluster.Connect, h)})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if old := f.hosts[h.Name]; old != nil {
		f.lost += old.Mutating()
		old.Close()
	}
	f.hosts[h.Name] = conn
	return conn, nil
}

// host gives a working connection, dialling anew when the old one broke.
func (f *fleet) host(ctx context.Context, name string) (*host.Host, error) {
	f.mu.Lock()
	conn := f.hosts[name]
	f.mu.Unlock()
	if conn != nil && conn.Alive() {
		return conn, nil
	}
	h, ok := f.cluster.Host(name)
	if !ok {
		return nil, diag.New(diag.Internal, "find host", "no host is called %q", name)
	}
	return f.dial(ctx, h)
}

func (f *fleet) state(name, state string, err error) {
	e := event.Event{Event: event.HostState, Host: name, State: state}
	if err != nil {
		e.Error = diag.From(err)
	}
	f.sink(e)
}

// lose notes that a host that was connected answers no more.
func (f *fleet) lose(name string, err error) {
	f.unreachable[name] = err
	delete(f.facts, name)
	f.state(name, "unreachable", err)
}

// mutating counts the requests of the run that may change what hosts hold.
func (f *fleet) mutating() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.lost
	for _, h := range f.hosts {
		n += h.Mutating()
	}
	return n
}

// release closes the connection to a host that nothing more is asked of.
func (f *fleet) release(name string) {
	f.mu.Lock()
	conn := f.hosts[name]
	delete(f.hosts, name)
	if conn != nil {
		f.lost += conn.Mutating()
	}
	f.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

func (f *fleet) close() {
	var wg sync.WaitGroup
	f.mu.Lock()
	for _, h := range f.hosts {
		wg.Go(func() { h.Close() })
	}
	f.mu.Unlock()
	wg.Wait()
	f.dialer.Close()
}

// scaled stretches a time-out for slow machines.
func scaled(d time.Duration, h inventory.ResolvedHost) time.Duration {
	if h.TimeoutScale <= 0 {
		return d
	}
	return time.Duration(float64(d) * h.TimeoutScale)
}

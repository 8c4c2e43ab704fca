package run

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/wire"
)

const (
	// listenTime is how long hosts listen at most, when nobody tells them to end.
	listenTime = 30 * time.Second
	// openTime is how long a host may take to begin to listen.
	openTime = 10 * time.Second
	// dialTime is for one port: a packet that is lost is sent again after one
	// second.
	dialTime = 2500 * time.Millisecond
)

// network measures the ways between hosts: it does what doors decides.
type network struct {
	s     *session
	m     *measured
	nonce string
	doors *doors
	ports map[string][]facts.Port // that a host opens

	events chan func() []move
	over   chan struct{}            // closed when nobody takes events any more
	ends   map[string]chan struct{} // closed when a host is finished
	acting sync.WaitGroup

	// Of those who act on moves, one at a time.
	open  map[string]*door
	close map[string]context.CancelFunc
}

func (s *session) network(m *measured, joining bool) *network {
	n := &network{
		s: s, m: m, nonce: newNonce(), ports: map[string][]facts.Port{},
		events: make(chan func() []move), over: make(chan struct{}), ends: map[string]chan struct{}{},
		open: map[string]*door{}, close: map[string]context.CancelFunc{},
	}
	var names []string
	for _, h := range s.fleet.contact {
		names = append(names, h.Name)
		n.ends[h.Name] = make(chan struct{})
	}
	worth := func(w preflight.Way) bool {
		s.fleet.mu.Lock()
		from, to := s.fleet.facts[w.From], s.fleet.facts[w.To]
		s.fleet.mu.Unlock()
		return preflight.Measurable(s.cluster, w, from, to, joining)
	}
	ways := preflight.Pairs(s.cluster)
	seen := map[string]map[facts.Port]bool{}
	for _, w := range ways {
		if joining && !worth(w) { // all were met before
			continue
		}
		if seen[w.To] == nil {
			seen[w.To] = map[facts.Port]bool{}
		}
		for _, p := range w.Ports {
			if !seen[w.To][p] {
				seen[w.To][p] = true
				n.ports[w.To] = append(n.ports[w.To], p)
			}
		}
	}
	n.doors = newDoors(names, ways, worth)
	return n
}

// contacted keeps those hosts that this run reaches at all: with some left out,
// as by --limit, nobody must wait to meet them.
func (n *network) contacted(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return n.ends[name] == nil })
}

// run ends when all hosts were met and all ways measured, or when ctx ends.
// Nothing listens when it returns.
func (n *network) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer n.acting.Wait()
	defer cancel()
	defer close(n.over)
	for !n.doors.over() {
		select {
		case what := <-n.events:
			for _, m := range what() {
				n.act(ctx, m)
			}
		case <-ctx.Done():
			return
		}
	}
}

// tell hands in what happened.
func (n *network) tell(what func() []move) {
	select {
	case n.events <- what:
	case <-n.over:
	}
}

// meet tells that a host was reached, or given up.
func (n *network) meet(ctx context.Context, name string, here bool) {
	if ctx.Err() == nil {
		n.tell(func() []move { return n.doors.meet(name, here) })
	}
}

// wait waits until nothing more is measured from or to the host.
func (n *network) wait(ctx context.Context, name string) bool {
	select {
	case <-n.ends[name]:
		return true
	case <-ctx.Done():
		return false
	}
}

// act begins a move.
func (n *network) act(ctx context.Context, m move) {
	switch m.what {
	case openDoor:
		listening, cancel := context.WithCancel(ctx)
		n.close[m.host] = cancel
		n.acting.Go(func() {
			defer cancel()
			n.listen(listening, m.host)
		})
	case closeDoor:
		n.close[m.host]()
	case dialWays:
		d := wire.Dial{Nonce: n.nonce, Seconds: dialTime.Seconds()}
		for _, w := range m.ways {
			d.Targets = append(d.Targets, n.open[w.To].target(w))
		}
		n.acting.Go(func() {
			doubtful := n.dial(ctx, m, d)
			n.tell(func() []move { return n.doors.dialled(m.host, m.ways, doubtful) })
		})
	case finished:
		close(n.ends[m.host])
	}
}

// dial measures and keeps ways, and gives those on which a port was not reached.
func (n *network) dial(ctx context.Context, m move, d wire.Dial) (doubtful []preflight.Way) {
	out := n.s.ask(ctx, m.host, "the network", wire.Probe{Dial: &d})
	if out == nil || len(out.Paths) != len(m.ways) {
		return nil
	}
	n.m.mu.Lock()
	defer n.m.mu.Unlock()
	for i, p := range out.Paths {
		p.From, p.To = m.ways[i].From, m.ways[i].To
		if slices.ContainsFunc(p.Ports, preflight.Blocked) {
			doubtful = append(doubtful, m.ways[i])
		}
		n.m.paths[[2]string{p.From, p.To}] = p // in the place of what was found at first
	}
	return doubtful
}

// listen holds a host's ports open until ctx ends or the time is up.
func (n *network) listen(ctx context.Context, name string) {
	ready := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	holding, cancel := context.WithCancel(ctx)
	defer cancel()
	watch.Go(func() { n.watch(holding, cancel, name, ready) })

	began := time.Now()
	err := n.hold(holding, name, func(d *door) {
		close(ready)
		n.tell(func() []move {
			n.open[name] = d
			return n.doors.opened(name, true)
		})
	})
	if err == nil && holding.Err() == nil && time.Since(began) < listenTime {
		err = diag.New(diag.Internal, "hold ports open", "the host closed its ports early, after %s", time.Since(began).Round(time.Millisecond))
	}
	if err != nil {
		n.s.unmeasured(ctx, name, "the network", err)
	}
	select {
	case <-ready:
		n.tell(func() []move { return n.doors.closed(name) })
	default:
		n.tell(func() []move { return n.doors.opened(name, false) })
	}
}

// watch gives up a host that does not begin to listen, and tells in time when
// the listening is about to end.
func (n *network) watch(ctx context.Context, cancel func(), name string, ready <-chan struct{}) {
	late := time.NewTimer(openTime)
	defer late.Stop()
	select {
	case <-ready:
	case <-late.C:
		cancel()
		return
	case <-ctx.Done():
		return
	}
	// Whoever dials now still has the other half of the time for it.
	old := time.NewTimer(listenTime / 2)
	defer old.Stop()
	select {
	case <-old.C:
		n.tell(func() []move { return n.doors.ages(name) })
	case <-ctx.Done():
	}
}

// hold asks the host to listen. ready is told once of the ports' states.
func (n *network) hold(ctx context.Context, name string, ready func(*door)) error {
	h, err := n.s.fleet.host(ctx, name)
	if err != nil {
		return err
	}
	inv, _ := n.s.cluster.Host(name)
	n.s.fleet.mu.Lock()
	f := n.s.fleet.facts[name]
	n.s.fleet.mu.Unlock()
	ports := n.ports[name]
	d := &door{address: node.FindAddress(inv, f).IP, ports: map[facts.Port]wire.Listening{}}
	l := wire.Listen{Address: d.address, Nonce: n.nonce, Seconds: listenTime.Seconds(), Ports: append(append([]facts.Port(nil), ports...), facts.Port{Proto: "udp"})}
	told := false
	err = h.Listen(ctx, l, func(states []wire.Listening) {
		if told || len(states) != len(l.Ports) {
			return
		}
		told = true
		for i, p := range ports {
			d.ports[p] = states[i]
		}
		if last := states[len(ports)]; last.Error == "" {
			d.spare = last.Port
		}
		ready(d)
	})
	if err == nil && !told {
		err = diag.New(diag.Timeout, "open ports", "the host did not begin to listen within %s", openTime).
			WithHint("look at the host's load, and run the check again")
	}
	return err
}

// door is a host that listens: its address and the state of its ports.
type door struct {
	address string
	ports   map[facts.Port]wire.Listening
	spare   facts.Port // a UDP port of no meaning, to measure the way by
}

// target is how a way to the door is dialled.
func (d *door) target(w preflight.Way) wire.Target {
	t := wire.Target{Address: d.address, MTU: true}
	echo := false
	for _, p := range w.Ports {
		l, ok := d.ports[p]
		if !ok || l.Error != "" {
			continue
		}
		t.Ports = append(t.Ports, wire.TargetPort{Port: p, Held: l.Held})
		echo = echo || p.Proto == "udp" && !l.Held
	}
	if !echo && d.spare.Port > 0 {
		t.Ports = append(t.Ports, wire.TargetPort{Port: d.spare})
	}
	return t
}

// newNonce gives 16 characters that nobody else knows.
func newNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

package run

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/wire"
)

// measured is what hosts measured of each other and of their own surroundings.
type measured struct {
	mu           sync.Mutex
	paths        []facts.Path
	lookups      map[string][]facts.Lookup
	sync         map[string]*facts.SyncTimes
	certificates map[string][]facts.Certificate
	ntp          map[string][]facts.NTPAnswer
}

// input is what the rules look at, of all that is known.
func (m *measured) input(s *session) preflight.Input {
	return preflight.Input{
		Cluster: s.cluster, Facts: s.fleet.facts,
		Paths: m.paths, Lookups: m.lookups, Sync: m.sync, Certificates: m.certificates, NTP: m.ntp,
	}
}

const (
	// listenTime is how long hosts listen at most, when nobody tells them to end.
	listenTime = 30
	// openTime is how long a host may take to begin to listen.
	openTime = 10 * time.Second
	// dialTime is for one port: a packet that is lost is sent again after one
	// second.
	dialTime = 2.5
)

// measure has hosts measure, all at once. With joining it is about hosts that
// have not joined yet, and short: of a cluster that stands there is nothing to
// ask. What cannot be measured is told as a warning and is in no result.
func (s *session) measure(ctx context.Context, joining bool) *measured {
	m := &measured{lookups: map[string][]facts.Lookup{}, sync: map[string]*facts.SyncTimes{}, certificates: map[string][]facts.Certificate{}, ntp: map[string][]facts.NTPAnswer{}}
	if joining && !s.joining() {
		return m
	}
	var wg sync.WaitGroup
	for name, f := range s.fleet.facts {
		if !joining || !joined(f) {
			wg.Go(func() { s.lookup(ctx, m, name, joining) })
			wg.Go(func() { s.timeServers(ctx, m, name, joining) })
		}
	}
	for _, name := range preflight.SyncHosts(s.cluster, s.fleet.facts, joining) {
		wg.Go(func() { s.fsync(ctx, m, name, joining) })
	}
	for _, h := range s.cluster.ControlPlanes() {
		if f := s.fleet.facts[h.Name]; f != nil && f.Kubernetes.AdminConf {
			wg.Go(func() { s.certificates(ctx, m, h.Name) })
		}
	}
	s.network(ctx, m, preflight.Ways(s.cluster, s.fleet.facts, joining))
	wg.Wait()
	return m
}

func joined(f *facts.Host) bool { return f.Kubernetes.AdminConf || f.Kubernetes.KubeletConf }

// joining tells whether a host that was asked for is to become a node.
func (s *session) joining() bool {
	for name, f := range s.fleet.facts {
		if !joined(f) && !s.scope.skipped[name] {
			return true
		}
	}
	return false
}

// ask gives one host's answer to one probe, nil when there is none.
func (s *session) ask(ctx context.Context, name, what string, p wire.Probe) *wire.Probed {
	h, err := s.fleet.host(ctx, name)
	if err == nil {
		var out *wire.Probed
		if out, err = h.Probe(ctx, p); err == nil {
			return out
		}
	}
	s.unmeasured(ctx, name, what, err)
	return nil
}

func (s *session) unmeasured(ctx context.Context, name, what string, err error) {
	if ctx.Err() == nil {
		s.sink(event.Event{Event: event.Warning, Host: name, Text: what + " could not be measured: " + err.Error(), Hint: diag.Hint(err)})
	}
}

func (s *session) lookup(ctx context.Context, m *measured, name string, short bool) {
	names, addresses := preflight.Questions(s.cluster, s.fleet.facts, name)
	if out := s.ask(ctx, name, "name resolution", wire.Probe{Resolve: &wire.Resolve{Names: names, Addresses: addresses, Seconds: patience(short)}}); out != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.lookups[name] = out.Lookups
	}
}

// patience is for servers that may not answer, in seconds.
func patience(short bool) float64 {
	if short {
		return 1
	}
	return 3
}

// timeServers asks those of the inventory, from the host that is to use them.
func (s *session) timeServers(ctx context.Context, m *measured, name string, short bool) {
	h, ok := s.cluster.Host(name)
	if !ok || len(h.TimeServers) == 0 {
		return
	}
	if out := s.ask(ctx, name, "time servers", wire.Probe{NTP: &wire.NTP{Servers: h.TimeServers, Seconds: patience(short)}}); out != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ntp[name] = out.NTP
	}
}

func (s *session) fsync(ctx context.Context, m *measured, name string, short bool) {
	p := wire.Sync{Path: "/var/lib/etcd", Samples: 400, Seconds: 2}
	if short {
		p.Samples, p.Seconds = 100, 0.5
	}
	if out := s.ask(ctx, name, "the disk", wire.Probe{Sync: &p}); out != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sync[name] = out.Sync
	}
}

// certificateFiles are public, and made or renewed by kubeadm.
var certificateFiles = []string{
	"/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/front-proxy-client.crt",
	"/etc/kubernetes/pki/apiserver-kubelet-client.crt", "/etc/kubernetes/pki/etcd/server.crt",
}

func (s *session) certificates(ctx context.Context, m *measured, name string) {
	h, err := s.fleet.host(ctx, name)
	if err != nil {
		s.unmeasured(ctx, name, "certificates", err)
		return
	}
	for _, file := range certificateFiles {
		raw, err := h.Read(ctx, file, 64<<10)
		if diag.KindOf(err) == diag.NotFound { // the site may have its own ways with them
			continue
		}
		if err != nil {
			s.unmeasured(ctx, name, file, err)
			continue
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			m.mu.Lock()
			m.certificates[name] = append(m.certificates[name], facts.Certificate{Path: file, NotBefore: float64(cert.NotBefore.Unix()), NotAfter: float64(cert.NotAfter.Unix())})
			m.mu.Unlock()
		}
	}
}

// network opens the ports that are dialled, has every host dial, and closes
// them again: nothing listens when it returns.
func (s *session) network(ctx context.Context, m *measured, ways []preflight.Way) {
	if len(ways) == 0 {
		return
	}
	nonce := newNonce()
	listening, cancel := context.WithCancel(ctx)
	open, closed := s.listen(listening, ways, nonce)
	defer closed()
	defer cancel()
	from := map[string][]preflight.Way{}
	for _, w := range ways {
		if open[w.To] != nil {
			from[w.From] = append(from[w.From], w)
		}
	}
	var wg sync.WaitGroup
	for name, mine := range from {
		wg.Go(func() {
			d := wire.Dial{Nonce: nonce, Seconds: dialTime}
			for _, w := range mine {
				d.Targets = append(d.Targets, open[w.To].target(w))
			}
			out := s.ask(ctx, name, "the network", wire.Probe{Dial: &d})
			if out == nil || len(out.Paths) != len(mine) {
				return
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for i, p := range out.Paths {
				p.From, p.To = mine[i].From, mine[i].To
				m.paths = append(m.paths, p)
			}
		})
	}
	wg.Wait()
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

// listen opens the ports of all hosts that are dialled and gives those that are
// open. The function returned waits until they are closed again, which they are
// when ctx ends.
func (s *session) listen(ctx context.Context, ways []preflight.Way, nonce string) (open map[string]*door, closed func()) {
	wanted := map[string][]facts.Port{}
	seen := map[string]map[facts.Port]bool{}
	for _, w := range ways {
		if seen[w.To] == nil {
			seen[w.To] = map[facts.Port]bool{}
		}
		for _, p := range w.Ports {
			if !seen[w.To][p] {
				seen[w.To][p] = true
				wanted[w.To] = append(wanted[w.To], p)
			}
		}
	}
	var mu sync.Mutex
	open = map[string]*door{}
	var ready, done sync.WaitGroup
	for name, ports := range wanted {
		inv, _ := s.cluster.Host(name)
		d := &door{address: node.FindAddress(inv, s.fleet.facts[name]).IP, ports: map[facts.Port]wire.Listening{}}
		l := wire.Listen{Address: d.address, Nonce: nonce, Seconds: listenTime, Ports: append(append([]facts.Port(nil), ports...), facts.Port{Proto: "udp"})}
		ready.Add(1)
		done.Go(func() {
			tell := sync.OnceFunc(ready.Done)
			defer tell()
			h, err := s.fleet.host(ctx, name)
			if err == nil {
				err = h.Listen(ctx, l, func(states []wire.Listening) {
					if len(states) == len(l.Ports) {
						for i, p := range ports {
							d.ports[p] = states[i]
						}
						if last := states[len(ports)]; last.Error == "" {
							d.spare = last.Port
						}
						mu.Lock()
						open[name] = d
						mu.Unlock()
					}
					tell()
				})
			}
			if err != nil {
				s.unmeasured(ctx, name, "the network", err)
			}
		})
	}
	all := make(chan struct{})
	done.Go(func() {
		ready.Wait()
		close(all)
	})
	late := time.NewTimer(openTime)
	defer late.Stop()
	select {
	case <-all:
	case <-late.C: // whoever is not ready by now is not measured
	}
	mu.Lock()
	defer mu.Unlock()
	return maps.Clone(open), done.Wait
}

// newNonce gives 16 characters that nobody else knows.
func newNonce() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

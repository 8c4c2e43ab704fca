package run

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/wire"
)

// measured is what hosts measured of each other and of their own surroundings.
type measured struct {
	mu           sync.Mutex
	paths        map[[2]string]facts.Path // by who dials and who is dialled
	lookups      map[string][]facts.Lookup
	sync         map[string]*facts.SyncTimes
	certificates map[string][]facts.Certificate
	ntp          map[string][]facts.NTPAnswer
	endpoint     map[string]facts.PortState
}

func newMeasured() *measured {
	return &measured{
		paths: map[[2]string]facts.Path{}, lookups: map[string][]facts.Lookup{}, sync: map[string]*facts.SyncTimes{},
		certificates: map[string][]facts.Certificate{}, ntp: map[string][]facts.NTPAnswer{},
		endpoint: map[string]facts.PortState{},
	}
}

// input is what the rules look at, of all that is known. Ways are in the order
// of the inventory, not in that in which they were measured.
func (m *measured) input(s *session) preflight.Input {
	place := map[string]int{}
	for i, h := range s.cluster.Hosts {
		place[h.Name] = i
	}
	paths := slices.SortedFunc(maps.Values(m.paths), func(a, b facts.Path) int {
		return cmp.Or(cmp.Compare(place[a.From], place[b.From]), cmp.Compare(place[a.To], place[b.To]))
	})
	return preflight.Input{
		Cluster: s.cluster, Facts: s.fleet.facts,
		Paths: paths, Lookups: m.lookups, Sync: m.sync, Certificates: m.certificates, NTP: m.ntp, Endpoint: m.endpoint,
	}
}

// measure has hosts measure, all at once: what each measures begins as soon as
// what it takes is known, so that no host waits for another that it does not
// measure the way to. With joining it is about hosts that have not joined yet,
// and short: of a cluster that stands there is nothing to ask. What cannot be
// measured is told as a warning and is in no result.
func (s *session) measure(ctx context.Context, m *measured, joining bool) {
	n := s.network(m, joining)
	var wg sync.WaitGroup
	for _, h := range s.fleet.contact {
		wg.Go(func() { s.measureHost(ctx, m, n, h, joining) })
	}
	n.run(ctx)
	wg.Wait()
}

// measureHost is all that one host measures and is measured by. A check then lets go of
// the host: with hundreds of them, connections are what takes memory.
func (s *session) measureHost(ctx context.Context, m *measured, n *network, h inventory.ResolvedHost, joining bool) {
	f := s.fleet.await(ctx, h.Name)
	n.meet(ctx, h.Name, f != nil)
	if f == nil {
		return
	}
	var wg sync.WaitGroup
	if !joining || !joined(f) {
		wg.Go(func() { s.lookup(ctx, m, h.Name, f, n.contacted(preflight.Neighbours(s.cluster, h.Name)), joining) })
		wg.Go(func() { s.timeServers(ctx, m, h, joining) })
		wg.Go(func() { s.siteEndpoint(ctx, m, h.Name, joining) })
	}
	if preflight.Syncs(h, f, joining) {
		wg.Go(func() { s.fsync(ctx, m, h.Name, joining) })
	}
	if h.ControlPlane() && f.Kubernetes.AdminConf {
		wg.Go(func() { s.certificates(ctx, m, h.Name) })
	}
	wg.Wait()
	if s.briefly && n.wait(ctx, h.Name) {
		s.fleet.release(h.Name)
	}
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

// lookup asks for names, and for the addresses of the hosts near by as these are
// met.
func (s *session) lookup(ctx context.Context, m *measured, name string, f *facts.Host, near []string, short bool) {
	resolve := func(r wire.Resolve) {
		r.Seconds = patience(short)
		if out := s.ask(ctx, name, "name resolution", wire.Probe{Resolve: &r}); out != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lookups[name] = append(m.lookups[name], out.Lookups...)
		}
	}
	resolve(wire.Resolve{Names: preflight.Names(s.cluster, name, f)})
	s.fleet.asMet(ctx, near, func(met map[string]*facts.Host) {
		var r wire.Resolve
		for other, of := range met {
			h, _ := s.cluster.Host(other)
			if a := node.FindAddress(h, of); a.IP != "" {
				r.Addresses = append(r.Addresses, a.IP)
			}
		}
		if len(r.Addresses) > 0 {
			resolve(r)
		}
	})
}

// patience is for servers that may not answer, in seconds.
func patience(short bool) float64 {
	if short {
		return 1
	}
	return 3
}

// timeServers asks those of the inventory, from the host that is to use them.
func (s *session) timeServers(ctx context.Context, m *measured, h inventory.ResolvedHost, short bool) {
	if len(h.TimeServers) == 0 {
		return
	}
	if out := s.ask(ctx, h.Name, "time servers", wire.Probe{NTP: &wire.NTP{Servers: h.TimeServers, Seconds: patience(short)}}); out != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ntp[h.Name] = out.NTP
	}
}

// siteEndpoint has the host dial the site's load balancer, and say nothing to it.
func (s *session) siteEndpoint(ctx context.Context, m *measured, name string, short bool) {
	host, port, ok := preflight.SiteEndpoint(s.cluster)
	if !ok {
		return
	}
	d := wire.Dial{Nonce: newNonce(), Seconds: patience(short), Targets: []wire.Target{{Address: host, Ports: []wire.TargetPort{{Port: port, Held: true}}}}}
	out := s.ask(ctx, name, "the API's endpoint", wire.Probe{Dial: &d})
	if out == nil || len(out.Paths) == 0 || len(out.Paths[0].Ports) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endpoint[name] = out.Paths[0].Ports[0]
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
		if chain, err := certs.Parse(raw); err == nil {
			m.mu.Lock()
			m.certificates[name] = append(m.certificates[name], facts.Certificate{Path: file, NotBefore: float64(chain[0].NotBefore.Unix()), NotAfter: float64(chain[0].NotAfter.Unix())})
			m.mu.Unlock()
		}
	}
}

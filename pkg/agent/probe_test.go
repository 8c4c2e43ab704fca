package agent_test

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// A read-only agent measures, and its host is as it was.
func TestProbes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before := list(t, h.Root)
	c := start(t, t.Context(), h, wire.ReadOnly, h)
	const nonce = "0123456789abcdef"
	listen := wire.Probe{Listen: &wire.Listen{Address: "127.0.0.1", Nonce: nonce, Seconds: 30, Ports: []facts.Port{{Proto: "tcp"}, {Proto: "udp"}}}}
	id := c.send(wire.Header{Type: wire.TProbe, Probe: &listen})
	held := c.event().Listening
	if len(held) != 2 || held[0].Port.Port == 0 || held[0].Held || held[1].Error != "" {
		t.Fatalf("listening = %+v", held)
	}
	rep := c.must(wire.Header{Type: wire.TProbe, Probe: &wire.Probe{Dial: &wire.Dial{Nonce: nonce, Seconds: 5, Targets: []wire.Target{
		{Address: "127.0.0.1", Ports: []wire.TargetPort{{Port: held[0].Port}, {Port: held[1].Port}}},
	}}}})
	if p := rep.Probed.Paths; len(p) != 1 || !p[0].Ports[0].Open || !p[0].Ports[1].Open {
		t.Errorf("paths = %+v", p)
	}
	if err := c.w.Write(wire.Header{ID: id, Type: wire.TCancel}, nil); err != nil {
		t.Fatal(err)
	}
	if rep := c.reply(id); rep.Error != nil {
		t.Errorf("the end of listening is the error %v", rep.Error)
	}
	if rep := c.must(wire.Header{Type: wire.TProbe, Probe: &wire.Probe{Resolve: &wire.Resolve{Names: []string{"127.0.0.1"}, Seconds: 1}}}); len(rep.Probed.Lookups) != 1 {
		t.Errorf("lookups = %+v", rep.Probed)
	}
	if rep := c.must(wire.Header{Type: wire.TProbe, Probe: &wire.Probe{Sync: &wire.Sync{Path: "/etc/none", Samples: 2, Seconds: 5}}}); rep.Probed.Sync.Samples != 2 || rep.Probed.Sync.Path != "/etc" {
		t.Errorf("sync = %+v", rep.Probed.Sync)
	}
	c.wantKind(c.call(wire.Header{Type: wire.TProbe, Probe: &wire.Probe{}}), diag.Internal)
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if after := list(t, h.Root); after != before {
		t.Errorf("probes changed the host:\n%s", after)
	}
}

// Ports are left alone on a host that somebody works on: what is started there
// may need them.
func TestNobodyListensBesideARun(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	listen := wire.Header{Type: wire.TProbe, Probe: &wire.Probe{Listen: &wire.Listen{Address: "127.0.0.1", Nonce: "0123456789abcdef", Seconds: 0.1, Ports: []facts.Port{{Proto: "tcp"}}}}}
	worker := start(t, t.Context(), h, wire.ReadWrite, h)
	if rep := worker.lock(); rep.Error != nil {
		t.Fatal(rep.Error)
	}
	worker.must(listen) // its own run may
	looker := start(t, t.Context(), h, wire.ReadOnly, h)
	rep := looker.call(listen)
	looker.wantKind(rep, diag.Locked)
	if !strings.Contains(rep.Error.Error(), "ann@desk") {
		t.Errorf("the error %v does not name the holder", rep.Error)
	}
	if err := worker.end(); err != nil {
		t.Fatal(err)
	}
	looker.must(listen)
}

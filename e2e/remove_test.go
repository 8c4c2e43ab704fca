//go:build e2e && long

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// replaceDead takes the power from the first control plane for good, removes it,
// and adds a bare host under its name.
func (l *planesLab) replaceDead(ctx context.Context, t *testing.T) {
	step(t, "the first control plane is dead: it is removed, and added anew; there are three again", func(t *testing.T) {
		if err := l.Hosts[0].Kill(ctx); err != nil {
			t.Fatal(err)
		}
		kubectl(ctx, t, l.Hosts[1], "wait", "node/n1", "--for=condition=Ready=Unknown", "--timeout=2m")
		p := startProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint)
		l.leaves(ctx, t, "n1", "--dead")
		if err := site.Reset(ctx, site.Options{Hosts: 5, Log: testLog{t}}, "n1"); err != nil {
			t.Fatal(err)
		}
		r := l.run(ctx, t, "node", "add", "n1="+l.Hosts[0].Address, "--role", "control-plane", "-i", l.inventory, "--yes", "-o", "json")
		if r.code != 0 {
			t.Fatalf("node add ended with %d:\n%s\nlast events:\n%s", r.code, r.stderr, lastEvents(r.events, 10))
		}
		p.report(t, "the replacement of a control plane")
		if p.lost() > time.Second {
			t.Errorf("requests failed for %s in all, want at most 1 s", p.lost())
		}
		l.healthy(ctx, t, 5)
		l.unchanged(ctx, t)
	})
}

// removeFirst removes the first control plane while it is alive, and looks
// whether it is clean.
func (l *planesLab) removeFirst(ctx context.Context, t *testing.T) {
	step(t, "the first control plane is removed and cleaned, though its power is cut in the middle", func(t *testing.T) {
		p := startProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint)
		l.cutPower(ctx, t, l.Hosts[0], "n1/clean", func() {}, "node", "remove", "n1", "-i", l.inventory, "--yes", "-o", "json")
		l.leaves(ctx, t, "n1")
		p.report(t, "the removal of the first control plane")
		left, err := l.Hosts[0].Exec(ctx, "sh", "-c", "ls -d /etc/kubernetes /var/lib/etcd /var/lib/kubelet /usr/local/bin/kubelet 2>/dev/null; pgrep -l kube; nft list tables | grep -E 'kube|flannel' || true")
		if err != nil || left != "" {
			t.Errorf("left on n1 (%v):\n%s", err, left)
		}
		nodesReady(ctx, t, l.Hosts[1], 4)
		l.unchanged(ctx, t)
	})
}

// leaves removes a control plane, and wants nobody to know it any more.
func (l *planesLab) leaves(ctx context.Context, t *testing.T, name string, flags ...string) {
	t.Helper()
	began := time.Now()
	r := l.run(ctx, t, append([]string{"node", "remove", name, "-i", l.inventory, "--yes", "-o", "json"}, flags...)...)
	if r.code != 0 {
		t.Fatalf("node remove ended with %d:\n%s\nlast events:\n%s", r.code, r.stderr, lastEvents(r.events, 10))
	}
	t.Logf("%s was removed after %s", name, time.Since(began).Round(time.Second))
	stays := l.Hosts[2] // n1 and n2 are those that leave
	if nodes := kubectl(ctx, t, stays, "get", "nodes", "-o", "name"); strings.Contains(nodes, "/"+name+"\n") {
		t.Errorf("nodes:\n%s", nodes)
	}
	if s := l.run(ctx, t, "etcd", "status", l.inventory); s.code != 0 || strings.Contains(s.stdout, name+" ") {
		t.Errorf("etcd status ended with %d:\n%s%s", s.code, s.stdout, s.stderr)
	}
	for _, h := range l.Hosts[2:] {
		config, err := h.Exec(ctx, "cat", node.LoadBalancerConfig)
		if err != nil || strings.Contains(config, "server "+name+" ") || !strings.Contains(config, "server n3 ") {
			t.Errorf("load balancer of %s (%v):\n%s", h.Name, err, config)
		}
	}
}

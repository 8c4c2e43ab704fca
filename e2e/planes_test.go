//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/e2e/lab/prove"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/inventory"
)

// planesLab is a lab with an inventory of its own: n1 and on are control planes,
// the others workers.
type planesLab struct {
	*site.Lab
	*kforge
}

func planesUp(ctx context.Context, t *testing.T, hosts int) *planesLab {
	t.Helper()
	o := site.Options{Hosts: hosts, Log: testLog{t}}
	lab, err := site.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Reset(ctx, o); err != nil {
		t.Fatal(err)
	}
	l := &planesLab{lab, newKforge(t)}
	l.inventory = filepath.Join(t.TempDir(), "planes.yaml")
	return l
}

// down takes the hosts away: tests that come after want three.
func (l *planesLab) down(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := site.Down(ctx, site.Options{Log: testLog{t}}); err != nil {
		t.Error(err)
	}
}

// write writes the inventory with some hosts, "n1=control-plane".
func (l *planesLab) write(t *testing.T, hosts ...string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: kforge.dev/v1alpha1
kind: Cluster
metadata: {name: planes}
spec:
  ssh: {user: root, identityFiles: [%q], knownHosts: %q, hostKeys: strict}
  artifacts: {mirror: %q}
  timeouts: {connect: 5s}
  defaults: {cgroupV1: allow}
  hosts:
`, l.KeyFile(), l.KnownHostsFile(), l.Mirror)
	for _, h := range hosts {
		name, roles, _ := strings.Cut(h, "=")
		for _, have := range l.Hosts {
			if have.Name == name {
				fmt.Fprintf(&b, "    - {name: %s, address: %s, roles: [%s]}\n", name, have.Address, roles)
			}
		}
	}
	if err := os.WriteFile(l.inventory, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// healthy wants all nodes Ready, all pods running, and traffic between all nodes.
func (l *planesLab) healthy(ctx context.Context, t *testing.T, hosts int) {
	t.Helper()
	nodesReady(ctx, t, l.Hosts[0], hosts)
	kubectl(ctx, t, l.Hosts[0], "wait", "pods", "--all", "--all-namespaces", "--for=condition=Ready", "--timeout=2m")
	if err := prove.Traffic(ctx, l.Hosts[:hosts], l.Registry, testLog{t}); err != nil {
		t.Error(err)
	}
	if r := l.run(ctx, t, "status", l.inventory); r.code != 0 {
		t.Errorf("status ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// unchanged wants an apply that finds nothing to do.
func (l *planesLab) unchanged(ctx context.Context, t *testing.T) {
	t.Helper()
	if s := l.apply(ctx, t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("another apply: %d changes, %d mutating requests", s.Changed, s.Mutating)
	}
}

// TestControlPlanes makes a cluster of three control planes and two workers of
// nothing, and takes one of them away.
func TestControlPlanes(t *testing.T) {
	ctx := t.Context()
	l := planesUp(ctx, t, 5)
	defer l.down(context.WithoutCancel(ctx), t)
	l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane", "n4=worker", "n5=worker")

	step(t, "one apply makes three control planes and two workers", func(t *testing.T) {
		began := time.Now()
		l.apply(ctx, t)
		t.Logf("five nodes after %s", time.Since(began).Round(time.Second))
		l.healthy(ctx, t, 5)
		l.unchanged(ctx, t)
	})

	step(t, "a control plane loses its power, and clients of the API hardly notice", func(t *testing.T) {
		p := startProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint)
		if err := l.Hosts[0].Kill(ctx); err != nil {
			t.Fatal(err)
		}
		// One that speaks to the host in the moment of its death may fail.
		out, err := l.Hosts[4].Exec(ctx, "sh", "-c", `
			failed=0
			for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
				kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node n5 --no-headers --request-timeout 5s || failed=$((failed+1))
				sleep 0.3
			done
			[ $failed -le 1 ]`)
		if err != nil {
			t.Errorf("kubectl through the endpoint: %v", err)
		}
		t.Log(out)
		p.report(t, "the loss of a control plane")
		if p.lost() > time.Second {
			t.Errorf("requests failed for %s in all, want at most 1 s", p.lost())
		}
		if err := l.Hosts[0].Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := l.Hosts[0].WaitSSH(ctx, time.Minute); err != nil {
			t.Fatal(err)
		}
		l.apply(ctx, t)
		l.unchanged(ctx, t)
	})

	l.split(ctx, t)
}

// split cuts the first control plane off from the others, and from nobody else:
// its API server answers, and etcd behind it decides nothing any more.
func (l *planesLab) split(ctx context.Context, t *testing.T) {
	n1, n2 := l.Hosts[0], l.Hosts[1]
	status := func(want int) error {
		return proc.Until(ctx, 30*time.Second, fmt.Sprintf("etcd status to end with %d", want), func(ctx context.Context) error {
			if r := l.run(ctx, t, "etcd", "status", l.inventory); r.code != want {
				return fmt.Errorf("exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			return nil
		})
	}
	step(t, "the network splits the first control plane from the others, and those go on", func(t *testing.T) {
		p := startProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint)
		for _, peer := range l.Hosts[1:3] {
			if err := n1.Break(ctx, host.Split, peer); err != nil {
				t.Fatal(err)
			}
		}
		if err := status(1); err != nil {
			t.Error(err)
		}
		kubectl(ctx, t, n2, "create", "configmap", "written-in-the-split")
		p.report(t, "the split")
		if p.lost() > 2*time.Second { // an API server without etcd takes connections until its check has failed twice
			t.Errorf("requests failed for %s in all, want at most 2 s", p.lost())
		}
		if err := n1.Heal(ctx, host.Split); err != nil {
			t.Fatal(err)
		}
		if err := status(0); err != nil {
			t.Error(err)
		}
		kubectl(ctx, t, n1, "get", "configmap", "written-in-the-split")
		l.unchanged(ctx, t)
	})
}

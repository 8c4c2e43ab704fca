//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/event"
)

// aspects are what a reset must bring back, each as a command whose output can be
// compared: files, packet filter, mounts, interfaces, routes and units. Left out
// is what changes by itself: logs, caches, login sessions, counters; and that
// systemd counts the network as online once a service has waited for it.
var aspects = map[string]string{
	"files": `cd /; prune='-path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./var/tmp -o -path ./var/cache -o -path ./var/spool
		-o -path ./var/lib/systemd -o -path ./var/lib/chrony -o -path ./var/lib/private -o -path ./var/lib/apt -o -path ./var/log/journal -o -path ./home/kforge/.cache'
		find . \( $prune \) -prune -o ! -path './var/log/*log*' ! -path './var/log/[bw]tmp*' -printf '%y %m %U %G %p %l\n' | sort
		find . \( $prune \) -prune -o ! -path './var/log/*' -type f -print0 | sort -z | xargs -0 sha256sum`,
	"iptables": `{ iptables-save; ip6tables-save; } | sed '/^#/d; s/ \[[0-9]*:[0-9]*\]//' | ` + dockersPorts,
	"nft":      `nft --stateless list ruleset | ` + dockersPorts,
	"mounts":   `findmnt -rno TARGET,FSTYPE | grep -v '^/run/user' | sort`,
	"links":    `ls /sys/class/net; ip -o route; ip -o -6 route | grep -v fe80; ls /run/netns 2>/dev/null || true`,
	"units": `systemctl list-unit-files --no-legend --plain --no-pager
		systemctl list-units --all --no-legend --plain --no-pager --type=service,slice,mount,scope,swap,socket,target |
		awk '{print $1, $2, $3}' | grep -Ev '^(session-|user-|user@|user-runtime|run-|init.scope|apt-|systemd-|ssh@|sshd@|dbus|logrotate|e2scrub|fstrim|dpkg|network-online.target)' | sort`,
}

// dockersPorts of the resolver of a container are others after each start.
const dockersPorts = `sed -E 's/127\.0\.0\.11:[0-9]+/127.0.0.11:N/; s/(sport) [0-9]+/\1 N/'`

// stateOf tells all aspects of each host.
func stateOf(ctx context.Context, t *testing.T, hosts []*host.Host) map[string]map[string]string {
	t.Helper()
	out := make([]map[string]string, len(hosts))
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range hosts {
		out[i] = map[string]string{}
		g.Go(func() error {
			for name, command := range aspects {
				text, err := h.Exec(ctx, "sh", "-uc", "export LC_ALL=C; "+command)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", name, h.Name, err)
				}
				out[i][name] = text
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for i, h := range hosts {
		all[h.Name] = out[i]
	}
	return all
}

func sameState(t *testing.T, before, after map[string]map[string]string) {
	t.Helper()
	for name, now := range after {
		for aspect, text := range now {
			if d := cmp.Diff(strings.Split(before[name][aspect], "\n"), strings.Split(text, "\n")); d != "" {
				t.Errorf("%s of %s differ from before the first apply (-before +after):\n%s", aspect, name, d)
			}
		}
	}
}

// TestReset takes hosts out of a cluster and the cluster off the hosts: what
// there was before the first apply is there again, and nothing else.
func TestReset(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)
	k.inventory = copyInventory(t, k.inventory, nil)
	before := stateOf(ctx, t, lab.Hosts)
	n1, n3 := lab.Hosts[0], lab.Hosts[2]
	k.apply(ctx, t)
	spread(ctx, t, lab)

	step(t, "the plan of a reset names what goes, and changes nothing", func(t *testing.T) {
		sums := checksums(ctx, t, lab.Hosts)
		r := k.run(ctx, t, "reset", k.inventory, "--plan")
		for _, want := range []string{"/var/lib/etcd", "/etc/kubernetes/pki", "nftables table ip kube-proxy", "interface cni0", "/usr/local/bin/kubelet", "containerd.service"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("the plan does not tell of %s:\n%s", want, r.stdout)
			}
		}
		if r.code != 0 {
			t.Errorf("exit code %d:\n%s", r.code, r.stderr)
		}
		if r := k.run(ctx, t, "reset", k.inventory); r.code != 6 || !strings.Contains(r.stderr, "--yes") {
			t.Errorf("without a yes: exit code %d:\n%s", r.code, r.stderr)
		}
		for name, sum := range checksums(ctx, t, lab.Hosts) {
			if sums[name] != sum {
				t.Errorf("a plan changed files of %s", name)
			}
		}
	})

	step(t, "one host is drained, taken out and cleaned; apply makes a node of it again", func(t *testing.T) {
		r := k.run(ctx, t, "reset", k.inventory, "--host", "n3", "--yes")
		if r.code != 0 {
			t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
		}
		if nodes := kubectl(ctx, t, n1, "get", "nodes", "-o", "name"); strings.Contains(nodes, "n3") {
			t.Errorf("the node is still there:\n%s", nodes)
		}
		sameState(t, before, stateOf(ctx, t, []*host.Host{n3}))
		rolledOut(ctx, t, n1)
		k.apply(ctx, t)
		nodesReady(ctx, t, n1, 3)
	})

	step(t, "a node is removed from cluster and inventory, though its power is cut in the middle", func(t *testing.T) {
		remove := []string{"node", "remove", "n3", "-i", k.inventory, "--yes", "-o", "json"}
		k.cutPower(ctx, t, n3, "n3/clean", func() {}, remove...)
		if text, err := os.ReadFile(k.inventory); err != nil || !strings.Contains(string(text), "n3") {
			t.Errorf("a host that was not cleaned is struck out (%v):\n%s", err, text)
		}
		r := k.run(ctx, t, remove...)
		if r.code != 0 {
			t.Fatalf("exit code %d:\n%s\n%s", r.code, r.stderr, lastEvents(r.events, 10))
		}
		text, err := os.ReadFile(k.inventory)
		if err != nil || strings.Contains(string(text), "n3") || !strings.Contains(string(text), "n2") {
			t.Errorf("inventory (%v):\n%s", err, text)
		}
		nodesReady(ctx, t, n1, 2)
		rolledOut(ctx, t, n1)
		if s := k.apply(ctx, t); s.Changed != 0 {
			t.Errorf("apply after that made %d changes", s.Changed)
		}
	})

	step(t, "a node is added, though its power is cut in the middle", func(t *testing.T) {
		add := []string{"node", "add", "n3=root@" + n3.Address, "-i", k.inventory, "--yes", "-o", "json"}
		k.cutPower(ctx, t, n3, "n3/join", func() {}, add...)
		nodesReady(ctx, t, n1, 2)
		if r := k.run(ctx, t, add...); r.code != 0 {
			t.Fatalf("exit code %d:\n%s\n%s", r.code, r.stderr, lastEvents(r.events, 10))
		}
		nodesReady(ctx, t, n1, 3)
		r := k.run(ctx, t, "node", "list", "-i", k.inventory)
		if r.code != 0 || !strings.Contains(r.stdout, "n3") {
			t.Errorf("node list: exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})

	step(t, "everything goes, and a second reset has nothing to do", func(t *testing.T) {
		for i, want := range []string{"changes on 3 hosts", "nothing changed on 3 hosts"} {
			r := k.run(ctx, t, "reset", k.inventory, "--yes")
			if r.code != 0 || !strings.Contains(r.stderr, want) {
				t.Errorf("reset %d: exit code %d, want %q:\n%s", i+1, r.code, want, r.stderr)
			}
			if i == 0 {
				sameState(t, before, stateOf(ctx, t, lab.Hosts))
			}
		}
		if r := k.run(ctx, t, "check", k.inventory); r.code != 0 {
			t.Errorf("check after the reset ended with %d:\n%s", r.code, r.stdout)
		}
	})
}

// cutPower runs a command and takes the power from a host when a step begins;
// the run must fail and say so. Then the host has its power again. before is called
// when that is about to happen.
func (k *kforge) cutPower(ctx context.Context, t *testing.T, h *host.Host, step string, before func(), args ...string) {
	t.Helper()
	cut := false
	r, err := k.watch(ctx, func(e event.Event, _ *os.Process) {
		if e.Event == event.StepStart && e.Step == step && !cut {
			cut = true
			before()
			if err := h.Kill(ctx); err != nil {
				t.Error(err)
			}
		}
	}, args...)
	if err != nil {
		t.Fatal(err)
	}
	if !cut || r.code == 0 || !strings.Contains(r.stderr+r.stdout, h.Name) {
		t.Fatalf("step %s began: %v; exit code %d:\n%s\n%s", step, cut, r.code, r.stderr, lastEvents(r.events, 10))
	}
	if err := h.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// copyInventory gives the lab's inventory in a place where it may be changed,
// edited where edit is not nil. It goes after the test, with what kforge writes
// beside it.
func copyInventory(t *testing.T, path string, edit func([]byte) []byte) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		text = edit(text)
	}
	out := filepath.Join(filepath.Dir(path), fmt.Sprintf("test-%d.yaml", os.Getpid())) // paths in it are relative
	if err := os.WriteFile(out, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Remove(out)
		os.Remove(strings.TrimSuffix(out, ".yaml") + ".kubeconfig")
	})
	return out
}

// spread runs a Deployment whose budget lets one pod go at a time.
func spread(ctx context.Context, t *testing.T, lab *site.Lab) {
	t.Helper()
	image, err := lab.Hosts[0].Exec(ctx, "sh", "-c", "ctr -n k8s.io images ls -q | grep /pause: | head -1")
	if err != nil {
		t.Fatal(err)
	}
	manifest := fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: web}}}]
      containers: [{name: web, image: %q}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
`, strings.TrimSpace(image))
	if err := lab.Hosts[0].Stream(ctx, strings.NewReader(manifest), nil, nil, append(slices.Clone(adminKubectl), "apply", "-f", "-")...); err != nil {
		t.Fatal(err)
	}
	rolledOut(ctx, t, lab.Hosts[0])
}

func rolledOut(ctx context.Context, t *testing.T, cp *host.Host) {
	t.Helper()
	kubectl(ctx, t, cp, "rollout", "status", "deployment/web", "--timeout", (2 * time.Minute).String())
}

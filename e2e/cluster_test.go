//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/prove"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/event"
)

// up gives a lab of three bare hosts.
func up(ctx context.Context, t *testing.T) *site.Lab {
	t.Helper()
	o := site.Options{Hosts: 3, Log: testLog{t}}
	lab, err := site.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	reset(ctx, t)
	return lab
}

// reset makes hosts bare again; without any named, all of them.
func reset(ctx context.Context, t *testing.T, hosts ...*host.Host) {
	t.Helper()
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	if err := site.Reset(ctx, site.Options{Hosts: 3, Log: testLog{t}}, names...); err != nil {
		t.Fatal(err)
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// TestCluster is the whole road: three bare hosts become a cluster, and a
// second apply finds nothing to do.
func TestCluster(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)

	step(t, "plan on bare hosts lists every change and changes nothing", func(t *testing.T) {
		before := checksums(ctx, t, lab.Hosts)
		r := k.run(ctx, t, "plan", k.inventory, "--detailed-exitcode")
		if r.code != 2 {
			t.Fatalf("plan --detailed-exitcode ended with %d, want 2:\n%s", r.code, r.stderr)
		}
		for _, want := range []string{"n1", "n2", "n3", "kubeadm init", "kubeadm join", "/etc/containerd/config.toml", "Plan:"} {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("the plan does not tell of %q", want)
			}
		}
		for name, sum := range checksums(ctx, t, lab.Hosts) {
			if before[name] != sum {
				t.Errorf("plan changed files of %s", name)
			}
		}
	})

	step(t, "apply makes a cluster", func(t *testing.T) {
		s := k.apply(ctx, t)
		if s.Changed == 0 || s.Mutating == 0 || s.Failed+s.Unreachable+s.Skipped != 0 {
			t.Errorf("summary: %+v", *s.SummaryData)
		}
		st, err := os.Stat(s.Kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", s.Kubeconfig, st.Mode().Perm())
		}
		healthy(ctx, t, lab)
	})

	step(t, "a second apply changes nothing and sends nothing that could", func(t *testing.T) {
		s := k.apply(ctx, t)
		if s.Changed != 0 || s.Mutating != 0 {
			t.Errorf("second apply: %d changes and %d mutating requests, want none", s.Changed, s.Mutating)
		}
		r := k.run(ctx, t, "plan", k.inventory, "--detailed-exitcode")
		if r.code != 0 {
			t.Errorf("plan of a finished cluster ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})

	step(t, "certificates are well, and planted differences are found", func(t *testing.T) { k.certificates(ctx, t, lab) })

	step(t, "all certificates are renewed by a command", func(t *testing.T) { k.renewal(ctx, t, lab) })

	step(t, "an admin gets a context, straight and through a tunnel", func(t *testing.T) { k.contexts(ctx, t) })

	step(t, "what drifted is put right, and only that", func(t *testing.T) {
		if _, err := lab.Hosts[1].Exec(ctx, "sh", "-c", "rm /etc/crictl.yaml && systemctl stop kubelet"); err != nil {
			t.Fatal(err)
		}
		s := k.apply(ctx, t)
		if s.Changed != 2 {
			t.Errorf("%d changes, want 2: the file and the unit", s.Changed)
		}
		for _, h := range s.Results {
			if want := map[string]int{"n2": 2}[h.Host]; h.Changes != want {
				t.Errorf("%d changes on %q, want %d", h.Changes, h.Host, want)
			}
		}
	})

	step(t, "a record of the run can be drawn again", func(t *testing.T) {
		runs, err := filepath.Glob(filepath.Join(k.state, "*-apply-lab-*"))
		if err != nil || len(runs) == 0 {
			t.Fatalf("records: %v, %v", runs, err)
		}
		r := k.run(ctx, t, "replay", runs[0])
		if r.code != 0 || !strings.Contains(r.stdout, "kubeadm init") {
			t.Errorf("replay ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
}

// TestBundle builds the cluster from one file, with the mirror out of reach. Its
// nodes reach the API at a load balancer of the site's.
func TestBundle(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)
	file := filepath.Join(t.TempDir(), "lab.bundle")
	if r := k.run(ctx, t, "bundle", "create", file, "-i", k.inventory); r.code != 0 {
		t.Fatalf("bundle create ended with %d:\n%s", r.code, r.stderr)
	}
	if r := k.run(ctx, t, "bundle", "verify", file); r.code != 0 {
		t.Fatalf("bundle verify ended with %d:\n%s", r.code, r.stderr)
	}
	// An inventory whose mirror does not exist: everything must come from the file.
	endpoint := siteBalancer(ctx, t, net.JoinHostPort(lab.Hosts[0].Address, "6443"))
	k.inventory = copyInventory(t, k.inventory, func(text []byte) []byte {
		text = bytes.ReplaceAll(text, []byte(lab.Mirror), []byte("http://192.0.2.1:9"))
		return append(text, "\n  kubernetes: {endpoint: '"+endpoint+"'}\n"...)
	})
	r := k.run(ctx, t, "apply", k.inventory, "--yes", "-o", "json", "--bundle", file)
	if r.code != 0 {
		t.Fatalf("apply --bundle ended with %d:\n%s\n%s", r.code, r.stderr, lastEvents(r.events, 15))
	}
	healthy(ctx, t, lab)
	for _, config := range []string{"n1:/etc/kubernetes/admin.conf", "n2:/etc/kubernetes/kubelet.conf", "n3:/etc/kubernetes/kubelet.conf"} {
		name, path, _ := strings.Cut(config, ":")
		h := lab.Hosts[slices.IndexFunc(lab.Hosts, func(h *host.Host) bool { return h.Name == name })]
		if server, err := h.Exec(ctx, "grep", "server:", path); err != nil || !strings.Contains(server, "https://"+endpoint) {
			t.Errorf("%s does not name %s: %s (%v)", config, endpoint, server, err)
		}
	}
	if s := k.apply(ctx, t, "--bundle", file); s.Changed != 0 {
		t.Errorf("another apply made %d changes", s.Changed)
	}
}

// moment of a run at which it is ended.
type moment struct {
	name string
	fits func(event.Event) bool
}

// leave takes hosts out of their cluster and lets them forget that they were
// ever in one; runtime and images stay.
func leave(ctx context.Context, t *testing.T, hosts []*host.Host) {
	t.Helper()
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		g.Go(func() error {
			_, err := h.Exec(ctx, "sh", "-euc", "kubeadm reset --force >/dev/null 2>&1; rm -rf /etc/cni/net.d /var/lib/kforge/state/commands; ip link del flannel.1 2>/dev/null || true; ip link del cni0 2>/dev/null || true")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestKill ends kforge by SIGKILL at ten moments; each following apply ends
// with the same healthy cluster.
func TestKill(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)
	hosts := lab.Hosts[:2] // no moment needs a third, and each costs its time ten times
	k.inventory = copyInventory(t, k.inventory, func(text []byte) []byte {
		rest, _, _ := strings.Cut(string(text), "    - name: n3\n")
		return []byte(rest)
	})
	started := func(part string) func(event.Event) bool {
		return func(e event.Event) bool { return e.Event == event.StepStart && strings.Contains(e.Step, part) }
	}
	said := func(part, text string) func(event.Event) bool {
		return func(e event.Event) bool {
			return e.Event == event.Output && strings.Contains(e.Step, part) && strings.Contains(e.Text, text)
		}
	}
	moments := []moment{
		{"a host has answered", func(e event.Event) bool { return e.Event == event.HostState && e.State == "connected" }},
		{"an artifact is on its way", func(e event.Event) bool { return e.Event == event.Progress && e.Done > 1<<20 && e.Done < e.Total }},
		{"containerd is being installed", func(e event.Event) bool {
			return e.Event == event.Change && e.Change != nil && strings.Contains(e.Change.Resource, "containerd")
		}},
		{"images are being imported", func(e event.Event) bool {
			return e.Event == event.Change && e.Change != nil && e.Change.Action == "import"
		}},
		{"kubeadm init has begun", started("/init")},
		{"kubeadm init writes certificates", said("/init", "[certs]")},
		{"kubeadm init waits for the control plane", said("/init", "control-plane")},
		{"the network plug-in is being applied", started("cluster/flannel")},
		{"a worker is joining", said("/join", "[")},
		{"nodes are waited for", started("n2/ready")},
	}
	firstOfCluster := slices.IndexFunc(moments, func(m moment) bool { return m.name == "kubeadm init has begun" })
	for i, m := range moments {
		step(t, m.name, func(t *testing.T) {
			switch {
			case i == 0:
			case i >= firstOfCluster:
				leave(ctx, t, hosts) // prepared hosts will do
			default:
				reset(ctx, t, hosts...)
			}
			if !k.killAt(ctx, t, m.fits) {
				t.Fatal("the run ended before this moment came")
			}
			s := k.apply(ctx, t)
			t.Logf("%s: %d changes in %.1f s after the kill", m.name, s.Changed, s.Seconds)
			nodesReady(ctx, t, hosts[0], len(hosts))
			if s := k.apply(ctx, t); s.Changed != 0 || s.Mutating != 0 {
				t.Errorf("the apply after that: %d changes, %d mutating requests", s.Changed, s.Mutating)
			}
		})
	}
	if err := prove.Traffic(ctx, hosts, lab.Registry, testLog{t}); err != nil {
		t.Error(err)
	}
}

// step is a subtest that ends the test when it fails: what follows builds on it.
func step(t *testing.T, name string, f func(*testing.T)) {
	t.Helper()
	start := time.Now()
	if !t.Run(name, f) {
		t.FailNow()
	}
	t.Logf("%.1f s: %s", time.Since(start).Seconds(), name)
}

// healthy wants three Ready nodes, all system pods running, and traffic.
func healthy(ctx context.Context, t *testing.T, lab *site.Lab) {
	t.Helper()
	nodesReady(ctx, t, lab.Hosts[0], len(lab.Hosts))
	// A node is Ready before the last of its own pods is.
	kubectl(ctx, t, lab.Hosts[0], "wait", "pods", "--all", "--all-namespaces", "--for=condition=Ready", "--timeout=2m")
	pods := kubectl(ctx, t, lab.Hosts[0], "get", "pods", "-A", "--no-headers")
	for line := range strings.Lines(pods) {
		if f := strings.Fields(line); len(f) > 3 && f[3] != "Running" {
			t.Errorf("pod is not running: %s", line)
		}
	}
	if !strings.Contains(pods, "coredns") {
		t.Errorf("no CoreDNS among the pods:\n%s", pods)
	}
	if err := prove.Traffic(ctx, lab.Hosts, lab.Registry, testLog{t}); err != nil {
		t.Error(err)
	}
}

func nodesReady(ctx context.Context, t *testing.T, cp *host.Host, want int) {
	t.Helper()
	nodes := kubectl(ctx, t, cp, "get", "nodes", "--no-headers")
	ready := 0
	for line := range strings.Lines(nodes) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "Ready" {
			ready++
		}
	}
	if ready != want {
		t.Errorf("%d nodes are Ready, want %d:\n%s", ready, want, nodes)
	}
}

// adminKubectl leaves nothing on a host's disk: resets are held against what was
// there before.
var adminKubectl = []string{"kubectl", "--cache-dir", "/run/kubectl-cache", "--kubeconfig", "/etc/kubernetes/admin.conf"}

func kubectl(ctx context.Context, t *testing.T, cp *host.Host, args ...string) string {
	t.Helper()
	out, err := cp.Exec(ctx, append(slices.Clone(adminKubectl), args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func checksums(ctx context.Context, t *testing.T, hosts []*host.Host) map[string]string {
	t.Helper()
	sums := make([]string, len(hosts))
	g, ctx := errgroup.WithContext(ctx)
	for i, h := range hosts {
		g.Go(func() (err error) {
			sums[i], err = h.Checksum(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i, h := range hosts {
		out[h.Name] = sums[i]
	}
	return out
}

func shell(ctx context.Context, t *testing.T, h *host.Host, script string) string {
	t.Helper()
	out, err := h.Exec(ctx, "sh", "-ec", script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

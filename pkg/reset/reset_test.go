package reset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/reset"
	"kforge.dev/kforge/pkg/spec"
)

// machine is a node of ours.
func machine(ip string, plane bool) *facts.Host {
	f := nodetest.Machine(ip)
	f.Kubernetes.KubeletConf, f.Kubernetes.AdminConf = true, plane
	f.Leftovers = []facts.Leftover{
		{Kind: "containerd", Path: "/etc/containerd/config.toml", Ours: true},
		{Kind: "kubelet", Path: "/var/lib/kubelet", Ours: true},
	}
	if plane {
		f.Leftovers = append(f.Leftovers, facts.Leftover{Kind: "kubernetes", Path: "/etc/kubernetes/manifests/etcd.yaml", Ours: true})
	}
	return f
}

func clean(f *facts.Host, change func(*reset.Host)) string {
	h := reset.Host{ResolvedHost: inventory.ResolvedHost{Name: "n1", TimeoutScale: 2}, Facts: f}
	if change != nil {
		change(&h)
	}
	var b strings.Builder
	for _, r := range reset.Clean(h, nodetest.Cluster("v1.37.2")) {
		fmt.Fprintf(&b, "%s\n", r.ID)
		switch {
		case r.Unit != nil:
			fmt.Fprintf(&b, "    %s %s within %d s\n", r.Unit.Name, r.Unit.State, r.Unit.TimeoutSeconds)
		case r.Absent != nil:
			fmt.Fprintf(&b, "    %s\n", strings.Join(append(r.Absent.Paths, r.Absent.EmptyDirs...), "\n    "))
		case r.Owned != nil && len(r.Owned.EmptyDirs) > 0:
			fmt.Fprintf(&b, "    %s\n", strings.Join(r.Owned.EmptyDirs, "\n    "))
		case r.Unmounted != nil:
			fmt.Fprintf(&b, "    %v\n", r.Unmounted.Below)
		case r.NoLinks != nil:
			fmt.Fprintf(&b, "    %v %v\n", r.NoLinks.Names, append(r.NoLinks.RoutesIn, r.NoLinks.Addresses...))
		case r.NoFilter != nil:
			fmt.Fprintf(&b, "    %v %v\n", r.NoFilter.Tables, r.NoFilter.Chains)
		}
	}
	return b.String()
}

func TestClean(t *testing.T) {
	t.Parallel()
	nodetest.Golden(t, "control-plane.txt", []byte(clean(machine("10.0.0.11", true), nil)))
	nodetest.Golden(t, "worker.txt", []byte(clean(machine("10.0.0.12", false), func(h *reset.Host) {
		h.TimeServers = []string{"ntp.example.com"}
		h.Facts.Time = facts.Time{Unit: "chrony.service", DropIn: "/etc/chrony/sources.d/kforge.sources"}
		h.Wipe = []string{"/dev/disk/by-id/ata-X"}
	})))
}

// An address that moves between control planes goes with the host that leaves.
func TestCleanTakesVirtualAddress(t *testing.T) {
	t.Parallel()
	c := nodetest.Cluster("v1.37.2")
	c.EndpointMode, c.Endpoint = inventory.EndpointKubeVIP, "10.0.0.100:6443"
	for _, r := range reset.Clean(reset.Host{ResolvedHost: c.Hosts[0], Facts: machine("10.0.0.11", true)}, c) {
		if r.NoLinks != nil && slices.Equal(r.NoLinks.Addresses, []string{"10.0.0.100"}) {
			return
		}
	}
	t.Error("10.0.0.100 stays")
}

// What is somebody else's is never named.
func TestCleanLeavesOthers(t *testing.T) {
	t.Parallel()
	bare := nodetest.Machine("10.0.0.11")
	if got := clean(bare, nil); got != "swap\nkforge's files\n" {
		t.Errorf("a host that kforge never touched:\n%s", got)
	}
	theirs := machine("10.0.0.11", true)
	theirs.Conflicts = []facts.Conflict{{Name: "kubelet", Seen: "/usr/bin/kubelet"}}
	theirs.Containerd.Foreign = []string{"/usr/bin/containerd"}
	if got := clean(theirs, nil); got != "swap\nkforge's files\n" {
		t.Errorf("a cluster of somebody else:\n%s", got)
	}
	theirs.Conflicts = nil
	if got := clean(theirs, nil); strings.Contains(got, "/var/lib/containerd") || strings.Contains(got, "\ncontainers\n") || !strings.Contains(got, "/var/lib/kubelet") {
		t.Errorf("their containerd, our kubelet:\n%s", got)
	}
	// An etcd on a host that is no control plane is not kubeadm's.
	if got := clean(machine("10.0.0.12", false), nil); strings.Contains(got, "/var/lib/etcd") {
		t.Errorf("a worker:\n%s", got)
	}
	podman := machine("10.0.0.12", false)
	podman.Leftovers = append(podman.Leftovers, facts.Leftover{Kind: "interface", Path: "cni-podman0"})
	if got := clean(podman, nil); strings.Contains(got, "CNI-") || strings.Contains(got, "cni_hostport") || !strings.Contains(got, "KUBE-*") {
		t.Errorf("beside podman:\n%s", got)
	}
}

// fleet is three control planes and a worker.
func fleet() reset.Input {
	c := nodetest.Cluster("v1.37.2")
	c.Hosts = nil
	in := reset.Input{Cluster: c, Live: &plan.Live{}, Staying: map[string]*facts.Host{}, DrainSeconds: 60,
		BalancerImage: func(string) (string, error) { return "haproxy:1", nil }}
	for i, name := range []string{"n1", "n2", "n3", "w1"} {
		h := inventory.ResolvedHost{Name: name, Address: fmt.Sprintf("10.0.0.1%d", i+1), TimeoutScale: 1, Roles: []string{inventory.RoleControlPlane}}
		if name == "w1" {
			h.Roles = []string{inventory.RoleWorker}
		}
		c.Hosts = append(c.Hosts, h)
		in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: name, Ready: true})
		in.Staying[name] = machine(h.Address, name != "w1")
	}
	c.EndpointMode = inventory.EndpointLocal
	return in
}

func out(in reset.Input, names ...string) reset.Input {
	for _, h := range in.Cluster.Hosts {
		if slices.Contains(names, h.Name) {
			in.Leaving = append(in.Leaving, reset.Host{ResolvedHost: h, Facts: in.Staying[h.Name]})
			delete(in.Staying, h.Name)
		}
	}
	return in
}

func steps(t *testing.T, in reset.Input) string {
	t.Helper()
	all, err := reset.Steps(in)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s", s.ID)
		if len(s.Needs) > 0 {
			fmt.Fprintf(&b, " <- %s", strings.Join(s.Needs, " "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestSteps(t *testing.T) {
	t.Parallel()
	balancers := func(need string, hosts ...string) string {
		s := ""
		for _, h := range hosts {
			s += h + "/load-balancer <- " + need + "\n"
		}
		return s
	}
	for name, tt := range map[string]struct {
		in   reset.Input
		want string
	}{
		"a worker": {out(fleet(), "w1"), "w1/drain\nw1/clean <- w1/drain\nw1/node <- w1/clean\n"},
		"the first control plane": {out(fleet(), "n1"), "n1/drain\nn1/etcd <- n1/drain\nn1/clean <- n1/etcd\nn1/node <- n1/clean\n" +
			balancers("n1/node", "n2", "n3", "w1")},
		"two control planes go one by one": {out(fleet(), "n1", "n2"), "n1/drain\nn1/etcd <- n1/drain\nn1/clean <- n1/etcd\nn1/node <- n1/clean\n" +
			"n2/drain\nn2/etcd <- n1/node n2/drain\nn2/clean <- n2/etcd\nn2/node <- n2/clean\n" + balancers("n2/node", "n3", "w1")},
		"a dead one": {func() reset.Input {
			in := out(fleet(), "n2")
			in.Undrained = map[string]bool{"n2": true}
			in.Leaving[0].Facts = nil
			return in
		}(), "n2/etcd\nn2/node <- n2/etcd\n" + balancers("n2/node", "n1", "n3", "w1")},
		"the whole cluster": {func() reset.Input {
			in := out(fleet(), "n1", "n2", "n3", "w1")
			in.Whole = true
			return in
		}(), "n1/clean\nn2/clean\nn3/clean\nw1/clean\n"},
		"without a cluster": {func() reset.Input {
			in := out(fleet(), "n1")
			in.Live = nil
			return in
		}(), "n1/clean\n"},
		"one that never joined": {func() reset.Input {
			in := out(fleet(), "w1")
			in.Live.Nodes = in.Live.Nodes[:3]
			return in
		}(), "w1/clean\nw1/node <- w1/clean\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := steps(t, tt.in); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	_, err := reset.Steps(out(fleet(), "n1", "n2", "n3"))
	if diag.KindOf(err) != diag.Preflight || !strings.Contains(diag.Hint(err), "kforge reset") {
		t.Errorf("all control planes: %v, hint %q", err, diag.Hint(err))
	}
}

// What a control plane may do to etcd is judged from when those before it have left.
func TestControlPlanesLeaveInTurn(t *testing.T) {
	t.Parallel()
	all, err := reset.Steps(out(fleet(), "n1", "n2"))
	if err != nil {
		t.Fatal(err)
	}
	var got []spec.EtcdWork
	for _, s := range all {
		if w, ok := s.Work.(*spec.EtcdWork); ok {
			got = append(got, *w)
		}
	}
	want := []spec.EtcdWork{{Remove: []string{"n1"}}, {Remove: []string{"n2"}, After: []string{"n1"}}}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A load balancer forgets who left, and nobody else.
func TestBalancersForget(t *testing.T) {
	t.Parallel()
	all, err := reset.Steps(out(fleet(), "n2"))
	if err != nil {
		t.Fatal(err)
	}
	w := all[len(all)-1].Work.(*spec.HostWork)
	var config string
	for _, r := range w.Resources {
		if r.File != nil && r.File.Path == node.LoadBalancerConfig {
			config = string(r.File.Content)
		}
	}
	if !strings.Contains(config, "10.0.0.11:6443") || !strings.Contains(config, "10.0.0.13:6443") || strings.Contains(config, "10.0.0.12:6443") {
		t.Errorf("configuration:\n%s", config)
	}
}

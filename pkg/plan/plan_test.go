package plan_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

func bare() plan.Input {
	c := nodetest.Cluster("v1.37.2")
	c.Hosts[1].Labels = map[string]string{"disk": "ssd"}
	return plan.Input{
		Cluster: c,
		Facts: map[string]*facts.Host{
			"n1": nodetest.Machine("10.0.0.11"), "n2": nodetest.Machine("10.0.0.12"), "n3": nodetest.Machine("10.0.0.13"),
		},
		Artifacts: nodetest.Artifacts{Version: c.Version}, FallbackDNS: []string{"192.0.2.53"},
	}
}

// finished is the same after an apply.
func finished() plan.Input {
	in := bare()
	in.Live = &plan.Live{}
	for _, name := range []string{"n1", "n2", "n3"} {
		in.Facts[name].Kubernetes.KubeletConf = true
		in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: name, Ready: true})
	}
	in.Facts["n1"].Kubernetes.AdminConf = true
	return in
}

// planes is a cluster of three control planes and a worker, of which some have
// joined.
func planes(joined ...string) plan.Input {
	in := bare()
	in.Cluster = nodetest.HighlyAvailable("v1.37.2")
	in.Facts["n4"] = nodetest.Machine("10.0.0.14")
	for _, name := range joined {
		if in.Live == nil {
			in.Live = &plan.Live{}
		}
		in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: name, Ready: true})
		in.Facts[name].Kubernetes.KubeletConf = true
		in.Facts[name].Kubernetes.AdminConf = name != "n4"
	}
	return in
}

func unreachable(in plan.Input, name string) plan.Input {
	delete(in.Facts, name)
	in.Unreachable = map[string]error{name: errors.New("connection refused")}
	return in
}

// skip leaves hosts out as a run does: facts are read of control planes only.
func skip(in plan.Input, names ...string) plan.Input {
	in.Skipped = map[string]bool{}
	for _, name := range names {
		in.Skipped[name] = true
		if name != "n1" {
			delete(in.Facts, name)
		}
	}
	return in
}

func virtualIP(in plan.Input) plan.Input {
	in.Cluster.EndpointMode, in.Cluster.Endpoint = inventory.EndpointKubeVIP, "10.0.0.100:6443"
	return in
}

func TestBuild(t *testing.T) {
	t.Parallel()
	tests := map[string]func() plan.Input{
		"ha-bare":              func() plan.Input { return planes() },
		"ha-finished":          func() plan.Input { return planes("n1", "n2", "n3", "n4") },
		"ha-one-becomes-three": func() plan.Input { return planes("n1", "n4") },
		"ha-first-lost":        func() plan.Input { return unreachable(planes("n1", "n2", "n3", "n4"), "n1") },
		"ha-first-new": func() plan.Input { // made anew; its node is still known
			in := planes("n1", "n2", "n3", "n4")
			in.Facts["n1"].Kubernetes = facts.Kubernetes{}
			return in
		},
		// The one that cannot be reached may hold the cluster.
		"ha-bare-one-lost": func() plan.Input { return unreachable(planes(), "n1") },
		"ha-limited-to-one": func() plan.Input {
			in := planes("n1", "n2", "n4")
			in.Skipped = map[string]bool{"n1": true, "n2": true, "n4": true}
			delete(in.Facts, "n4")
			return in
		},
		"ha-worker-promoted": func() plan.Input {
			in := planes("n1", "n2", "n4")
			in.Facts["n3"].Kubernetes.KubeletConf = true
			in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: "n3", Ready: true})
			return in
		},
		"external-endpoint": func() plan.Input {
			in := finished()
			in.Cluster.EndpointMode, in.Cluster.Endpoint = inventory.EndpointExternal, "kube.example.com:6443"
			return in
		},
		"kube-vip-bare":     func() plan.Input { return virtualIP(planes()) },
		"kube-vip-finished": func() plan.Input { return virtualIP(planes("n1", "n2", "n3", "n4")) },
		"bare":              bare,
		"finished":          finished,
		"new-worker": func() plan.Input {
			in := finished()
			in.Facts["n3"].Kubernetes.KubeletConf = false
			in.Live.Nodes = in.Live.Nodes[:2]
			return in
		},
		"reinstalled-worker": func() plan.Input { // its Node object is still there
			in := finished()
			in.Facts["n3"].Kubernetes.KubeletConf = false
			in.Live.Nodes[2].Ready = false
			return in
		},
		"worker-unreachable": func() plan.Input {
			in := unreachable(finished(), "n3")
			in.Live.Nodes[2].Ready = false
			return in
		},
		"bare-worker-unreachable": func() plan.Input { return unreachable(bare(), "n3") },
		"control-plane-unreachable": func() plan.Input {
			in := unreachable(bare(), "n1")
			in.Facts["n3"].Kubernetes.KubeletConf = true
			return in
		},
		"limited-to-new-worker": func() plan.Input {
			in := skip(finished(), "n1", "n2")
			in.Facts["n3"].Kubernetes.KubeletConf = false
			in.Live.Nodes = in.Live.Nodes[:2]
			return in
		},
		"limited-without-a-cluster": func() plan.Input { return skip(bare(), "n1", "n2") },
		"limited-control-plane-unreachable": func() plan.Input {
			in := skip(unreachable(bare(), "n1"), "n1", "n2")
			return in
		},
		"bare-skipping-a-worker":     func() plan.Input { return skip(bare(), "n3") },
		"finished-skipping-a-worker": func() plan.Input { return skip(finished(), "n3") },
		"time-and-dns": func() plan.Input {
			in := finished()
			in.Cluster.DNSServers, in.Cluster.ManageHostDNS = []string{"10.0.0.53"}, true
			in.Cluster.Hosts[0].TimeServers = []string{"10.0.0.54"} // of which nothing can be set: waived
			in.Cluster.Hosts[1].TimeServers = []string{"10.0.0.54"}
			in.Facts["n2"].Time.Unit, in.Facts["n2"].Time.DropIn = "chrony.service", "/etc/chrony/sources.d/kforge.sources"
			return in
		},
		"interrupted-init": func() plan.Input { // admin.conf is written early
			in := bare()
			in.Facts["n1"].Kubernetes = facts.Kubernetes{AdminConf: true, KubeletConf: true, Interrupted: []string{kubeadm.InitID}}
			return in
		},
		"interrupted-join": func() plan.Input {
			in := finished()
			in.Facts["n2"].Kubernetes.Interrupted = []string{kubeadm.JoinID}
			return in
		},
		"surprises": func() plan.Input {
			in := bare()
			for name := range in.Facts {
				in.Facts[name] = nodetest.Container(in.Facts[name].Interfaces[1].Addresses[0][:9])
			}
			in.Facts["n2"].Interfaces[1].MTU = 1400
			in.Cluster.Hosts[2].TimeoutScale = 4
			return in
		},
		"adopted": func() plan.Input { // kubeadm made it, by somebody else's hand
			in := finished()
			in.Cluster.Hosts = in.Cluster.Hosts[:2]
			for _, name := range []string{"n1", "n2"} {
				in.Facts[name].Containerd.Foreign = []string{"/etc/containerd/config.toml"}
				in.Facts[name].Leftovers = []facts.Leftover{{Kind: "cni", Path: "/etc/cni/net.d/10-flannel.conflist"}}
			}
			return in
		},
		"one-host": func() plan.Input {
			in := bare()
			in.Cluster.Hosts = in.Cluster.Hosts[:1]
			in.Cluster.Hosts[0].Roles = []string{inventory.RoleControlPlane, inventory.RoleWorker}
			return in
		},
	}
	for name, input := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Build(input())
			if err != nil {
				t.Fatal(err)
			}
			check(t, p)
			text := transcript(p)
			nodetest.Golden(t, name+".txt", []byte(text))
			for range 5 {
				again, err := plan.Build(input())
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(p.Steps, again.Steps) { // cmp looks at each byte of each file
					t.Fatalf("the same input gives another plan:\n%s", cmp.Diff(p.Steps, again.Steps))
				}
			}
		})
	}
}

// check holds what is true of every plan.
func check(t *testing.T, p *plan.Plan) {
	t.Helper()
	before := map[string]bool{}
	values := false
	for _, s := range p.Steps {
		for _, need := range slices.Concat(s.Needs, s.NeedsAny, s.After) {
			if !before[need] {
				t.Errorf("%s needs %s, which does not come before it", s.ID, need)
			}
		}
		if before[s.ID] {
			t.Errorf("%s is there twice", s.ID)
		}
		before[s.ID] = true
		switch w := s.Work.(type) {
		case *spec.HostWork:
			if s.Host == "" {
				t.Errorf("%s works on no host", s.ID)
			}
			if len(w.Values) > 0 && !values {
				t.Errorf("%s wants values that nobody gives", s.ID)
			}
		case *spec.KubeWork:
			values = values || w.JoinToken != nil
		case *spec.EtcdWork:
			if len(w.Remove) == 0 && w.Healthy == nil && w.HandOver == "" {
				t.Errorf("%s does nothing", s.ID)
			}
		default:
			t.Errorf("%s has work of type %T", s.ID, s.Work)
		}
		if s.Title == "" || s.Phase == "" || s.Class == "" {
			t.Errorf("%s lacks title, phase or class", s.ID)
		}
	}
}

func transcript(p *plan.Plan) string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s [%s, %s] %s\n", s.ID, s.Phase, s.Class, s.Title)
		if len(s.Needs) > 0 {
			fmt.Fprintf(&b, "    needs %s\n", strings.Join(s.Needs, " "))
		}
		if len(s.After) > 0 {
			fmt.Fprintf(&b, "    after %s\n", strings.Join(s.After, " "))
		}
		if s.Window != "" {
			fmt.Fprintf(&b, "    in window %s, slow after %d s\n", s.Window, s.SlowAfter)
		}
		if len(s.NeedsAny) > 0 {
			fmt.Fprintf(&b, "    needs any of %s\n", strings.Join(s.NeedsAny, " "))
		}
		switch w := s.Work.(type) {
		case *spec.HostWork:
			for _, r := range w.Resources {
				fmt.Fprintf(&b, "    %s\n", r.ID)
			}
			if len(w.Values) > 0 {
				fmt.Fprintf(&b, "    values %s\n", strings.Join(w.Values, " "))
			}
		case *spec.KubeWork:
			kube(&b, w)
		case *spec.EtcdWork:
			if len(w.Remove) > 0 {
				fmt.Fprintf(&b, "    remove members %s\n", strings.Join(w.Remove, " "))
			}
			if w.HandOver != "" {
				fmt.Fprintf(&b, "    %s leads no more\n", w.HandOver)
			}
			if w.Snapshot != "" {
				fmt.Fprintf(&b, "    snapshot into %s\n", w.Snapshot)
			}
			if w.Healthy != nil {
				fmt.Fprintf(&b, "    etcd healthy with %d members within %d s\n", w.Healthy.Voters, w.Healthy.TimeoutSeconds)
			}
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note %s: %s", n.Host, n.Message)
		if n.Err != nil {
			fmt.Fprintf(&b, ": %v", n.Err)
		}
		if n.Hint != "" {
			fmt.Fprintf(&b, " (%s)", n.Hint)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func kube(b *strings.Builder, w *spec.KubeWork) {
	if w.WaitAPI {
		b.WriteString("    wait for the API\n")
	}
	for _, name := range w.ForgetNodes {
		fmt.Fprintf(b, "    forget node %s\n", name)
	}
	for _, d := range w.Drain {
		fmt.Fprintf(b, "    drain %s within %d s\n", d.Node, d.TimeoutSeconds)
	}
	if w.KubeadmImages != nil {
		fmt.Fprintf(b, "    kubeadm's images %+v\n", *w.KubeadmImages)
	}
	for _, o := range w.Objects {
		if o.Merge {
			fmt.Fprintf(b, "    merge %s\n", o.Manifest)
			continue
		}
		var what []string
		for line := range strings.Lines(string(o.Manifest)) {
			if strings.HasPrefix(line, "kind: ") || strings.HasPrefix(line, "  name: ") || strings.Contains(line, `"MTU"`) {
				what = append(what, strings.TrimSpace(line))
			}
		}
		fmt.Fprintf(b, "    apply %s\n", strings.Join(what, " "))
	}
	if w.Endpoint != "" {
		fmt.Fprintf(b, "    endpoint %s\n", w.Endpoint)
	}
	if w.JoinToken != nil {
		fmt.Fprintf(b, "    token for %d s, server %q, key %v\n", w.JoinToken.TTLSeconds, w.JoinToken.Server, w.JoinToken.CertificateKey)
	}
	for _, r := range w.Ready {
		renewed := ""
		if r.RenewedBy != "" {
			renewed = "made anew by the kubelet of " + r.RenewedBy + " "
		}
		fmt.Fprintf(b, "    ready %s %s %s%swithin %d s\n", r.Kind, r.Name, strings.TrimLeft(r.Kubelet+" ", " "), renewed, r.TimeoutSeconds)
	}
	for _, name := range w.Uncordon {
		fmt.Fprintf(b, "    uncordon %s\n", name)
	}
}

// A host that is out of reach must change nothing of the others.
func TestNothingIsRemovedForTheUnreachable(t *testing.T) {
	t.Parallel()
	p, err := plan.Build(unreachable(finished(), "n3"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.Host == "n3" || strings.Contains(s.ID, "flannel") {
			t.Errorf("step %s", s.ID)
		}
		if w, ok := s.Work.(*spec.KubeWork); ok && (len(w.ForgetNodes) > 0 || w.JoinToken != nil) {
			t.Errorf("step %s: %+v", s.ID, w)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*plan.Input)
		kind   diag.Kind
	}{
		"no control plane": {func(in *plan.Input) { in.Cluster.Hosts = in.Cluster.Hosts[1:] }, diag.Invalid},
		"no artifacts":     {func(in *plan.Input) { in.Facts["n2"].Kernel.Arch = "arm64" }, diag.NotFound},
		"no address": {func(in *plan.Input) {
			in.Facts["n2"].Interfaces, in.Facts["n2"].DefaultInterface = nil, ""
		}, diag.Unsupported},
		"forgotten facts": {func(in *plan.Input) { delete(in.Facts, "n2") }, diag.Internal},
	}
	for name, tt := range tests {
		in := bare()
		tt.change(&in)
		_, err := plan.Build(in)
		if diag.KindOf(err) != tt.kind {
			t.Errorf("%s: %v of kind %q, want %q", name, err, diag.KindOf(err), tt.kind)
		}
		if tt.kind != diag.Internal && diag.Hint(err) == "" {
			t.Errorf("%s: %v has no hint", name, err)
		}
	}
}

package node_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/spec"
)

func input(t *testing.T, f *facts.Host) node.Input {
	t.Helper()
	c := nodetest.Cluster("v1.37.2")
	in := node.Input{
		Host: c.Hosts[0], Facts: f, Cluster: c,
		PauseImage: "registry.k8s.io/pause:3.10.2", FallbackDNS: []string{"192.0.2.53"},
	}
	for name, into := range map[string]*node.Artifact{
		"containerd": &in.Containerd, "runc": &in.Runc, "cni-plugins": &in.CNIPlugins,
		"kubelet": &in.Kubelet, "kubeadm": &in.Kubeadm, "kubectl": &in.Kubectl,
	} {
		var err error
		if into.Blob, into.Version, err = (nodetest.Artifacts{Version: c.Version}).File(name, "amd64"); err != nil {
			t.Fatal(err)
		}
	}
	return in
}

func all(t *testing.T, in node.Input) []spec.Resource {
	t.Helper()
	runtime, err := node.Containerd(in)
	if err != nil {
		t.Fatal(err)
	}
	kubelet, err := node.Kubelet(in)
	if err != nil {
		t.Fatal(err)
	}
	out := append(node.Prepare(in), runtime...)
	out = append(out, kubelet...)
	return append(out, node.KubeletRunning(in)...)
}

func TestHost(t *testing.T) {
	t.Parallel()
	reserved := input(t, nodetest.Machine("10.0.0.11"))
	reserved.Host.Reserved = inventory.Reserved{CPU: "500m", Memory: "2Gi"}
	reserved.Host.SwapOff = false
	reserved.Host.MaxPods = 200
	reserved.Cluster.DNSServers = []string{"10.0.0.3", "10.0.0.4"}
	for name, in := range map[string]node.Input{
		"machine":   input(t, nodetest.Machine("10.0.0.11")),
		"container": input(t, nodetest.Container("10.0.0.11")),
		"reserved":  reserved,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resources := all(t, in)
			nodetest.Golden(t, name+".txt", []byte(nodetest.Text(resources)))
			seen := map[string]bool{}
			for _, r := range resources {
				if seen[r.ID] {
					t.Errorf("resource %q is there twice", r.ID)
				}
				seen[r.ID] = true
				text := r.File != nil && r.File.Content != nil
				if text && !strings.HasPrefix(string(r.File.Content), spec.Header) {
					t.Errorf("%s does not begin with the header", r.ID)
				}
			}
		})
	}
}

func TestChooseResolver(t *testing.T) {
	t.Parallel()
	fallback := []string{"192.0.2.53"}
	tests := []struct {
		name    string
		wanted  []string
		host    facts.Resolver
		path    string
		servers []string // of our file
		guessed bool
	}{
		{name: "inventory wins", wanted: []string{"10.0.0.3"}, host: facts.Resolver{Servers: []string{"10.0.0.2"}},
			path: node.ResolvConf, servers: []string{"10.0.0.3"}},
		{name: "plain file", host: facts.Resolver{Servers: []string{"10.0.0.2"}}, path: "/etc/resolv.conf"},
		{name: "stub with its file", host: facts.Resolver{Servers: []string{"127.0.0.53"}, Upstreams: []string{"10.0.0.2"},
			UpstreamPath: "/run/systemd/resolve/resolv.conf"}, path: "/run/systemd/resolve/resolv.conf"},
		{name: "stub before another stub", host: facts.Resolver{Servers: []string{"127.0.0.53"}, Upstreams: []string{"127.0.0.1", "10.0.0.2"},
			UpstreamPath: "/run/systemd/resolve/resolv.conf"}, path: node.ResolvConf, servers: []string{"10.0.0.2"}},
		{name: "upstreams without a file", host: facts.Resolver{Servers: []string{"127.0.0.1"}, Upstreams: []string{"10.0.0.2"}},
			path: node.ResolvConf, servers: []string{"10.0.0.2"}},
		{name: "one of two is a loopback", host: facts.Resolver{Servers: []string{"127.0.0.1", "10.0.0.9"}},
			path: node.ResolvConf, servers: []string{"10.0.0.9"}},
		{name: "loopback in IPv6", host: facts.Resolver{Servers: []string{"::1"}}, path: node.ResolvConf, servers: fallback, guessed: true},
		{name: "nothing is known", host: facts.Resolver{Servers: []string{"127.0.0.11"}}, path: node.ResolvConf, servers: fallback, guessed: true},
		{name: "no server at all", path: node.ResolvConf, servers: fallback, guessed: true},
		{name: "three at most", wanted: []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"},
			path: node.ResolvConf, servers: []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := node.ChooseResolver(tt.wanted, tt.host, fallback)
			if err != nil {
				t.Fatal(err)
			}
			var servers []string
			for line := range strings.Lines(string(got.Content)) {
				if s, ok := strings.CutPrefix(line, "nameserver "); ok {
					servers = append(servers, strings.TrimSpace(s))
				}
			}
			if got.Path != tt.path || got.Guessed != tt.guessed || !cmp.Equal(servers, tt.servers) {
				t.Errorf("got %s %v guessed %v, want %s %v %v", got.Path, servers, got.Guessed, tt.path, tt.servers, tt.guessed)
			}
		})
	}
	_, err := node.ChooseResolver(nil, facts.Resolver{Servers: []string{"127.0.0.11"}}, nil)
	if diag.KindOf(err) != diag.Unsupported || diag.Hint(err) == "" {
		t.Errorf("without any server: %v, hint %q", err, diag.Hint(err))
	}
}

// The lab's disk: 252 GB with 33 to spare is under pressure by the kubelet's
// defaults, and its images would be collected all the time.
func TestDisk(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, total := range []uint64{0, 4 * gib, 8 * gib, 20 * gib, 40 * gib, 252 * gib, 4096 * gib} {
		f := &facts.Host{Paths: []facts.PathSpace{{Path: "/", Mount: "/", Total: total}}, Memory: facts.Memory{Total: 8 * gib}}
		p := node.Disk(f)
		if total > 0 && p.NodeFSBytes > total/10 {
			t.Errorf("%d GiB: threshold %d MiB takes more than a tenth", total/gib, p.NodeFSBytes>>20)
		}
		if p.NodeFSBytes > 10*gib || p.ImageGCHigh > 95 || p.ImageGCHigh < 50 || p.ImageGCLow >= p.ImageGCHigh {
			t.Errorf("%d GiB: %+v", total/gib, p)
		}
		if len(p.EvictionHard) != 5 {
			t.Errorf("%d GiB: signals %v: naming one drops the defaults of the rest", total/gib, p.EvictionHard)
		}
		if total > 0 {
			// Images go before pods have to.
			left := total - total*uint64(p.ImageGCHigh)/100
			if p.ImageGCHigh < 95 && left < p.ImageFSBytes {
				t.Errorf("%d GiB: image collection begins with %d MiB left, eviction with %d", total/gib, left>>20, p.ImageFSBytes>>20)
			}
		}
	}
	lab := node.Disk(nodetest.Container("10.0.0.11"))
	if free := uint64(33 * gib); lab.NodeFSBytes > free/2 || lab.ImageGCHigh <= 87 {
		t.Errorf("lab: %+v", lab)
	}
}

func TestFindAddress(t *testing.T) {
	t.Parallel()
	f := nodetest.Machine("10.0.0.11")
	f.Interfaces = append(f.Interfaces, facts.Interface{Name: "eth1", MTU: 9000, Addresses: []string{"172.16.0.5/16"}})
	tests := []struct {
		name, nodeIP, address, ip, iface string
		found                            bool
	}{
		{"ssh address", "", "10.0.0.11", "10.0.0.11", "eth0", true},
		{"nodeIP", "172.16.0.5", "10.0.0.11", "172.16.0.5", "eth1", true},
		{"nodeIP of nobody", "172.16.0.6", "10.0.0.11", "172.16.0.6", "", false},
		{"name", "", "n1.example.com", "10.0.0.11", "eth0", true},
		{"port forward", "", "127.0.0.1", "10.0.0.11", "eth0", true},
		{"address translation", "", "203.0.113.1", "10.0.0.11", "eth0", true},
	}
	for _, tt := range tests {
		h := inventory.ResolvedHost{Name: "n1", NodeIP: tt.nodeIP, Address: tt.address}
		got := node.FindAddress(h, f)
		if got.IP != tt.ip || got.Interface.Name != tt.iface || got.Found != tt.found {
			t.Errorf("%s: got %s on %q found %v", tt.name, got.IP, got.Interface.Name, got.Found)
		}
	}
	if got := node.FindAddress(inventory.ResolvedHost{}, &facts.Host{}); got.IP != "" {
		t.Errorf("a host without interfaces has %s", got.IP)
	}
}

func TestKernelAtLeast(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.1.0-18-amd64": true, "5.13.0": true, "5.13-rc1": true, "5.12.19": false,
		"5.4.0-1": false, "4.19": false, "6": false, "": false, "x.y": false, "10.0.1": true,
	} {
		if got := node.KernelAtLeast(release, 5, 13); got != want {
			t.Errorf("KernelAtLeast(%q, 5, 13) = %v", release, got)
		}
	}
}

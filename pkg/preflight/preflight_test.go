package preflight_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/preflight"
)

func healthy() preflight.Input {
	c := nodetest.Cluster("v1.37.2")
	for i := range c.Hosts {
		c.Hosts[i].CgroupV1 = false
	}
	return preflight.Input{
		Cluster: c,
		Facts: map[string]*facts.Host{
			"n1": nodetest.Machine("10.0.0.11"), "n2": nodetest.Machine("10.0.0.12"), "n3": nodetest.Machine("10.0.0.13"),
		},
		FallbackDNS: []string{"192.0.2.53"},
	}
}

const gib = 1 << 30

// Each case breaks n2 (or n1 where a control plane is meant) and names what
// must be found: "severity rule host: words of the message".
var cases = []struct {
	name   string
	change func(*preflight.Input)
	want   []string
}{
	{"healthy", func(*preflight.Input) {}, nil},
	{"unknown architecture", on("n2", func(f *facts.Host) { f.Kernel.Arch = "riscv64" }), []string{`error architecture n2: "riscv64"`}},
	{"no artifacts", func(in *preflight.Input) {
		in.HasArtifacts = func(arch string) error { return errors.New("not in the bundle") }
		in.Cluster.Hosts = in.Cluster.Hosts[:1]
	}, []string{"error architecture n1: not in the bundle"}},
	{"no systemd", on("n2", func(f *facts.Host) { f.OS.Systemd = 0 }), []string{"error systemd n2: process 1"}},
	{"old systemd", on("n2", func(f *facts.Host) { f.OS.Systemd = 219 }), []string{"warning systemd n2: 219"}},
	{"very old kernel", on("n2", func(f *facts.Host) { f.Kernel.Release = "3.10.0-1160.el7" }), []string{"error kernel n2: 3.10.0"}},
	{"old kernel", on("n2", func(f *facts.Host) { f.Kernel.Release = "4.19.0-26-amd64" }), []string{"warning kernel n2: 4.19.0"}},
	{"cgroup v1", on("n2", func(f *facts.Host) { f.Kernel.Cgroup = 1 }), []string{"error cgroup-v1 n2: kubelet"}},
	{"cgroup v1 allowed", func(in *preflight.Input) {
		in.Facts["n2"].Kernel.Cgroup = 1
		in.Cluster.Hosts[1].CgroupV1 = true
	}, []string{"warning cgroup-v1 n2: allows"}},
	{"no kmsg", on("n2", func(f *facts.Host) { f.Kernel.KmsgReadable = false }), []string{"error kmsg n2: /dev/kmsg"}},
	{"small control plane", on("n1", func(f *facts.Host) { f.CPU.Logical, f.Memory.Total = 1, gib }),
		[]string{"error resources n1: 1 CPU", "error resources n1: 1.0 GiB"}},
	{"small worker", on("n2", func(f *facts.Host) { f.CPU.Logical, f.Memory.Total = 1, gib }), nil},
	{"tiny worker", on("n2", func(f *facts.Host) { f.Memory.Total = gib / 4 }), []string{"error resources n2: 256 MiB"}},
	{"full disk", on("n2", func(f *facts.Host) { f.Paths[0].Available = 4 * gib }), []string{"error disk n2: pressure"}},
	{"no room for images", on("n2", func(f *facts.Host) { f.Paths[0].Total, f.Paths[0].Available = 20*gib, 4*gib }),
		[]string{"error disk n2: 5 GiB"}},
	{"no room, but installed", on("n2", func(f *facts.Host) {
		f.Paths[0].Total, f.Paths[0].Available = 20*gib, 4*gib
		f.Kubernetes.KubeletConf = true
	}, on("n1", func(f *facts.Host) { f.Kubernetes.AdminConf = true })), nil},
	{"nearly full disk", on("n2", func(f *facts.Host) { f.Paths[0].Available = 8 * gib }), []string{"warning disk n2: begins at 5.0 GiB"}},
	{"small file systems of their own", all(on("n1", room("/var/lib/etcd", gib)), on("n2", room("/var/lib/etcd", 0)), on("n3", room("/tmp", 0), func(in *preflight.Input) {
		in.Facts["n3"].Paths = append(in.Facts["n3"].Paths, facts.PathSpace{Path: "/opt/cni/bin", Mount: "/tmp"})
	})), []string{"error disk n1: /var/lib/etcd has 1.0 GiB available of 40 GiB: etcd's data need 2.0 GiB", "error disk n3: /tmp has 0 MiB available"}},
	{"small file systems, but installed", all(on("n1", room("/usr/local/bin", gib/4)), on("n1", room("/var/log", gib/64)), on("n1", func(f *facts.Host) { f.Kubernetes.AdminConf = true })),
		[]string{"warning disk n1: /var/log has 16 MiB available of 40 GiB, for logs of pods"}},
	{"memory is not counted", on("n2", func(f *facts.Host) { f.Kernel.Controllers = []string{"cpuset", "cpu", "io", "pids"} }),
		[]string{"error cgroup-controllers n2: memory (it has cpuset cpu io pids)"}},
	{"all controllers", on("n2", func(f *facts.Host) {
		f.Kernel.Controllers = []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}
	}), nil},
	{"nodeIP of nobody", func(in *preflight.Input) { in.Cluster.Hosts[1].NodeIP = "10.9.9.9" }, []string{"error node-address n2: 10.9.9.9"}},
	{"address translation", func(in *preflight.Input) { in.Cluster.Hosts[1].Address = "203.0.113.5" }, []string{"warning node-address n2: 10.0.0.12 of eth0"}},
	{"name as address", func(in *preflight.Input) { in.Cluster.Hosts[1].Address = "n2.example.com" }, nil},
	{"no address", on("n2", func(f *facts.Host) { f.Interfaces = nil }), []string{"error node-address n2: no address"}},
	{"foreign containerd", on("n2", func(f *facts.Host) { f.Containerd.Foreign = []string{"/etc/containerd/config.toml"} }),
		[]string{"error foreign-containerd n2: /etc/containerd/config.toml"}},
	{"node that kubeadm made", on("n2", func(f *facts.Host) {
		f.Kubernetes.KubeletConf = true
		f.Containerd.Foreign = []string{"/etc/containerd/config.toml"}
		f.Conflicts = []facts.Conflict{{Name: "kubelet-package", Seen: "/usr/bin/kubelet"}}
	}, func(in *preflight.Input) { in.Facts["n1"].Kubernetes.AdminConf = true }), []string{"warning foreign-containerd n2: .kforge-orig", "warning foreign-kubelet n2: /usr/bin/kubelet"}},
	{"other software", on("n2", func(f *facts.Host) {
		f.Conflicts = []facts.Conflict{
			{Name: "firewalld", Seen: "firewalld.service"}, {Name: "k3s", Seen: "/usr/local/bin/k3s"},
			{Name: "kubelet-package", Seen: "/usr/bin/kubelet"}, {Name: "something", Seen: "x.service"},
		}
	}), []string{"error conflict n2: k3s", "error foreign-kubelet n2: /usr/bin/kubelet", "warning conflict n2: firewalld", "warning conflict n2: something"}},
	{"node of another cluster", on("n2", func(f *facts.Host) { f.Kubernetes.KubeletConf = true }), []string{"error stale-join n2: n1"}},
	{"join that was cut off", on("n2", func(f *facts.Host) {
		f.Kubernetes = facts.Kubernetes{KubeletConf: true, Interrupted: []string{kubeadm.JoinID}}
	}), nil},
	{"stub that tells nothing", on("n2", func(f *facts.Host) { f.Resolver = facts.Resolver{Servers: []string{"127.0.0.11"}} }),
		[]string{"warning resolver n2: 192.0.2.53"}},
	{"stub that has a name", on("n2", func(f *facts.Host) { f.Resolver = facts.Resolver{Servers: []string{"127.0.0.1"}, Stub: "dnsmasq"} }),
		[]string{"warning resolver n2: asks 127.0.0.1 (dnsmasq), which pods cannot"}},
	{"stub and servers named", func(in *preflight.Input) {
		in.Facts["n2"].Resolver = facts.Resolver{Servers: []string{"127.0.0.11"}}
		in.Cluster.DNSServers = []string{"10.0.0.2"}
	}, nil},
	{"no server anywhere", func(in *preflight.Input) {
		in.Facts["n2"].Resolver = facts.Resolver{Path: "/etc/resolv.conf"}
		in.FallbackDNS = nil
	}, []string{"error resolver n2: /etc/resolv.conf"}},
	{"clock far off", on("n2", func(f *facts.Host) { f.Time.OffsetSeconds = -3 }), []string{"error clock n2: -3s"}},
	{"clock a little off", on("n2", func(f *facts.Host) { f.Time.OffsetSeconds, f.Time.DaemonActive = 0.2, false }),
		[]string{"warning time-sync n2: does not run", "warning clock n2: chrony is there and does not run"}},
	{"clock within the round trip", on("n2", func(f *facts.Host) { f.Time.OffsetSeconds, f.Time.RoundTripSeconds = 0.3, 0.7 }), nil},
	{"the admin's clock is off", func(in *preflight.Input) {
		for _, f := range in.Facts {
			f.Time.OffsetSeconds = 3600
		}
	}, nil},
	{"copied disks", on("n2", func(f *facts.Host) { f.MachineID = "id-10.0.0.11" }), []string{"warning machine-id : n1, n2"}},
	{"unreachable host", func(in *preflight.Input) { delete(in.Facts, "n2") }, nil},
}

// room makes a file system of its own.
func room(path string, available uint64) func(*facts.Host) {
	return func(f *facts.Host) {
		f.Paths = append(f.Paths, facts.PathSpace{Path: path, Mount: path, Type: "xfs", Total: 40 * gib, Available: available})
	}
}

func on(host string, change func(*facts.Host), more ...func(*preflight.Input)) func(*preflight.Input) {
	return func(in *preflight.Input) {
		change(in.Facts[host])
		for _, m := range more {
			m(in)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(cases, networkCases) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := healthy()
			tt.change(&in)
			got := preflight.Check(in)
			if len(got) != len(tt.want) {
				t.Fatalf("found %+v, want %v", got, tt.want)
			}
			for i, f := range got {
				line := string(f.Severity) + " " + f.Rule + " " + f.Host + ": "
				words, same := strings.CutPrefix(tt.want[i], line)
				if !same || !strings.Contains(f.Message, words) {
					t.Errorf("found %s%s, want %s", line, f.Message, tt.want[i])
				}
			}
		})
	}
}

// Every rule is broken by a case above, and every finding says what to do.
func TestEveryRuleHasHint(t *testing.T) {
	t.Parallel()
	var broken []string
	for _, tt := range slices.Concat(cases, networkCases) {
		in := healthy()
		tt.change(&in)
		for _, f := range preflight.Check(in) {
			broken = append(broken, f.Rule)
			if len(f.Hint) < 15 || f.Message == "" {
				t.Errorf("%s: %s finds %q with the hint %q", tt.name, f.Rule, f.Message, f.Hint)
			}
		}
	}
	for _, rule := range preflight.Rules() {
		if !slices.Contains(broken, rule) {
			t.Errorf("no case breaks the rule %s", rule)
		}
	}
}

// Errors come first, then the inventory's order.
func TestOrder(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.Facts["n1"].Kernel.Release = "4.19.0"
	in.Facts["n3"].OS.Systemd = 0
	in.Facts["n2"].OS.Systemd = 0
	in.Cluster.Hosts[1].Roles = []string{inventory.RoleWorker}
	var got []string
	for _, f := range preflight.Check(in) {
		got = append(got, f.Host)
	}
	if want := []string{"n2", "n3", "n1"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

package collect_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/facts/collect"
	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/spec"
)

func host(t *testing.T, files map[string]string) *resourcetest.Host {
	t.Helper()
	h, err := resourcetest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for p, c := range files {
		if err := h.WriteFile(p, c); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func get(t *testing.T, h *resourcetest.Host) *facts.Host {
	t.Helper()
	f, err := collect.Collect(t.Context(), h.Root)
	if err != nil {
		t.Fatalf("Collect = %v", err)
	}
	return f
}

func TestBareHost(t *testing.T) {
	t.Parallel()
	f := get(t, host(t, nil))
	want := facts.OS{ID: "debian", Version: "12", Name: "Debian GNU/Linux 12 (bookworm)", Systemd: 252}
	if d := cmp.Diff(want, f.OS); d != "" {
		t.Errorf("OS (-want +got):\n%s", d)
	}
	if f.Kernel.Cgroup != 2 || !f.Kernel.OOMScoreAdjLowerable || f.Kernel.ConntrackWritable || f.DefaultInterface != "eth0" || f.CPU.Sockets != 1 {
		t.Errorf("facts = %+v", f)
	}
	if f.Containerd.Foreign != nil || f.Conflicts != nil || f.Swap.Active != nil {
		t.Errorf("a bare host has %+v %+v %+v", f.Containerd, f.Conflicts, f.Swap)
	}
}

func TestResolverBehindAStub(t *testing.T) {
	t.Parallel()
	h := host(t, map[string]string{
		"/run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\nsearch lan\n",
		"/run/systemd/resolve/resolv.conf":      "nameserver 192.168.1.1\nnameserver fe80::1%eth0\n",
	})
	conf := filepath.Join(h.Root, "/etc/resolv.conf")
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../run/systemd/resolve/stub-resolv.conf", conf); err != nil {
		t.Fatal(err)
	}
	want := facts.Resolver{
		Path: "/run/systemd/resolve/stub-resolv.conf", Servers: []string{"127.0.0.53"}, Search: []string{"lan"},
		Upstreams: []string{"192.168.1.1", "fe80::1%eth0"}, UpstreamPath: "/run/systemd/resolve/resolv.conf", Stub: "systemd-resolved",
	}
	if d := cmp.Diff(want, get(t, h).Resolver); d != "" {
		t.Errorf("Resolver (-want +got):\n%s", d)
	}
}

func TestForeignSoftware(t *testing.T) {
	t.Parallel()
	h := host(t, map[string]string{
		"/etc/containerd/config.toml":                                 "version = 2\n",
		"/usr/bin/containerd":                                         "ELF",
		"/usr/lib/systemd/system/docker.service":                      "[Unit]\n",
		"/lib/systemd/system/kubelet.service":                         "[Unit]\n",
		"/etc/ufw/ufw.conf":                                           "ENABLED=yes\n",
		"/usr/lib/systemd/system/containerd.service":                  "[Unit]\n",
		"/sys/fs/cgroup/system.slice/containerd.service/cgroup.procs": "123\n",
		"/proc/swaps":                          "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1000 10 -2\n",
		"/etc/fstab":                           "UUID=2 none swap sw 0 0\n",
		"/etc/systemd/system/dev-sdb.swap":     "[Swap]\n",
		"/run/systemd/generator/dev-sda2.swap": "SourcePath=/etc/fstab\n",
	})
	f := get(t, h)
	if d := cmp.Diff([]string{"/etc/containerd/config.toml", "/usr/lib/systemd/system/containerd.service", "/usr/bin/containerd"}, f.Containerd.Foreign); d != "" || !f.Containerd.Active {
		t.Errorf("Foreign (-want +got):\n%s", d)
	}
	want := []facts.Conflict{{Name: "docker", Seen: "/usr/lib/systemd/system/docker.service"}, {Name: "ufw", Seen: "/etc/ufw/ufw.conf"}, {Name: "kubelet", Seen: "/lib/systemd/system/kubelet.service"}}
	if d := cmp.Diff(want, f.Conflicts); d != "" {
		t.Errorf("Conflicts (-want +got):\n%s", d)
	}
	wantSwap := facts.Swap{
		Active: []facts.SwapArea{{Path: "/dev/sda2", Type: "partition", Kind: "partition", Size: 1000 << 10, Used: 10 << 10}},
		Fstab:  []string{"UUID=2"}, Units: []string{"dev-sdb.swap"},
	}
	if d := cmp.Diff(wantSwap, f.Swap); d != "" {
		t.Errorf("Swap (-want +got):\n%s", d)
	}
}

func TestOurContainerdIsNotForeign(t *testing.T) {
	t.Parallel()
	h := host(t, map[string]string{
		"/etc/containerd/config.toml":                spec.Header + "\nversion = 3\n",
		"/etc/systemd/system/containerd.service":     spec.Header + "\n[Unit]\n",
		"/usr/lib/systemd/system/containerd.service": "[Unit]\n", // hidden by ours
	})
	if f := get(t, h).Containerd.Foreign; f != nil {
		t.Errorf("Foreign = %v", f)
	}
}

// What keeps the clock, and where time servers of ours would go.
func TestTimeDaemons(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string
		want  facts.Time
	}{
		"none": {nil, facts.Time{}},
		"chrony": {map[string]string{
			"/usr/lib/systemd/system/chrony.service": "", "/run/chrony/chronyd.pid": "1\n",
			"/etc/chrony/chrony.conf": "pool 2.debian.pool.ntp.org iburst\nsourcedir /etc/chrony/sources.d\n",
		}, facts.Time{Daemon: "chrony", DaemonActive: true, Unit: "chrony.service", DropIn: "/etc/chrony/sources.d/kforge.sources", Configured: []string{"2.debian.pool.ntp.org"}}},
		"timesyncd": {map[string]string{"/usr/lib/systemd/system/systemd-timesyncd.service": "", "/run/systemd/timesync/synchronized": ""},
			facts.Time{Daemon: "systemd-timesyncd", DaemonActive: true, Unit: "systemd-timesyncd.service", DropIn: "/etc/systemd/timesyncd.conf.d/10-kforge.conf"}},
		"ntpsec": {map[string]string{"/lib/systemd/system/ntpsec.service": "", "/run/ntpd.pid": "1\n", "/etc/ntpsec/ntp.conf": "server ntp.lan\n", "/etc/ntpsec/ntp.d/site.conf": "server 10.0.0.1 iburst\n"},
			facts.Time{Daemon: "ntpsec", DaemonActive: true, Unit: "ntpsec.service", DropIn: "/etc/ntpsec/ntp.d/kforge.conf", Configured: []string{"ntp.lan", "10.0.0.1"}}},
		"ntpsec, led by DHCP": {map[string]string{"/lib/systemd/system/ntpsec.service": "", "/etc/ntpsec/ntp.conf": "", "/run/ntpsec/ntp.conf.dhcp": ""},
			facts.Time{Daemon: "ntpsec", Unit: "ntpsec.service"}},
		"ntp": {map[string]string{"/lib/systemd/system/ntpd.service": "", "/etc/ntp.conf": "server ntp.lan\n"},
			facts.Time{Daemon: "ntp", Unit: "ntpd.service", Configured: []string{"ntp.lan"}}},
	} {
		got := get(t, host(t, tt.files)).Time
		got.Unix, got.TookSeconds, got.Sources = 0, 0, nil
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestPackageManager(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"apt-get", "dnf", "yum", "zypper"} {
		if got := get(t, host(t, map[string]string{"/usr/bin/" + name: "ELF"})).OS.PackageManager; got != name {
			t.Errorf("with %s: %q", name, got)
		}
	}
}

func TestNoHost(t *testing.T) {
	t.Parallel()
	if _, err := collect.Collect(t.Context(), t.TempDir()); diag.KindOf(err) != diag.Unsupported {
		t.Errorf("Collect = %v, want an error of kind unsupported", err)
	}
}

func TestComponentsOfAControlPlane(t *testing.T) {
	t.Parallel()
	f := get(t, host(t, map[string]string{
		"/etc/kubernetes/manifests/kube-apiserver.yaml": "spec:\n  containers:\n  - command: [kube-apiserver]\n    image: registry.k8s.io/kube-apiserver:v1.36.3\n    imagePullPolicy: IfNotPresent\n",
		"/etc/kubernetes/manifests/etcd.yaml":           "spec:\n  containers:\n  - image: \"registry.k8s.io/etcd:3.6.8-0\"\n    name: etcd\n",
		"/etc/kubernetes/manifests/kube-scheduler.yaml": "nonsense\n",
	}))
	want := map[string]string{"kube-apiserver": "registry.k8s.io/kube-apiserver:v1.36.3", "etcd": "registry.k8s.io/etcd:3.6.8-0"}
	if d := cmp.Diff(want, f.Kubernetes.Components); d != "" {
		t.Errorf("components (-want +got):\n%s", d)
	}
}

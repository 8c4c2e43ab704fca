package resource_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/spec"
)

func kubelet() spec.Resource {
	return spec.Resource{ID: "unit kubelet", Unit: &spec.Unit{
		Name: "kubelet.service", Enabled: spec.Bool(true), State: "running", RestartOn: []string{"/etc/kubelet.yaml", "/etc/kubelet.d"},
	}}
}

func TestUnitFromNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rs := []spec.Resource{file("/etc/systemd/system/kubelet.service", "[Service]\n"), file("/etc/kubelet.yaml", "a: 1\n"), kubelet()}
	if got := f.converge(t, rs...); actions(got) != "create create update start " {
		t.Errorf("changes = %v", got)
	}
	calls := strings.Join(f.Calls(), "\n")
	if strings.Contains(calls, "daemon-reload") || !strings.Contains(calls, "systemctl --no-reload enable kubelet.service") {
		t.Errorf("calls:\n%s", calls)
	}
	// Its configuration changes: exactly one restart, foreseen by the plan.
	rs[1].File.Content = []byte("a: 2\n")
	if got := f.converge(t, rs...); actions(got) != "update restart " || got[1].Why != "its configuration changed after it was started" {
		t.Errorf("changes = %+v", got)
	}
	// A new file in a directory that it reads.
	rs = append(rs[:2:2], file("/etc/kubelet.d/x", "1"), kubelet())
	if got := f.converge(t, rs...); actions(got) != "create restart " {
		t.Errorf("changes = %v", got)
	}
	if n := f.Unit("kubelet.service").Invocation; n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
}

func TestRestartPendingSurvivesACrash(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetUnit("kubelet.service", resourcetest.Unit{Active: "inactive", File: "disabled"})
	cfg := file("/etc/kubelet.yaml", "a: 1\n")
	f.converge(t, cfg, kubelet())
	cfg.File.Content = []byte("a: 2\n")
	f.converge(t, cfg) // and then the power fails
	if got := f.converge(t, kubelet()); actions(got) != "restart " {
		t.Errorf("changes = %v, want a restart", got)
	}
	// Somebody else restarts it after the file was written: nothing to do.
	cfg.File.Content = []byte("a: 3\n")
	f.converge(t, cfg)
	u := f.Unit("kubelet.service")
	u.Invocation, u.Started = u.Invocation+1, f.Uptime()+time.Minute
	f.SetUnit("kubelet.service", u)
	f.settled(t, cfg, kubelet())
	// No record, started before the file was written: not to be trusted.
	if err := os.RemoveAll(filepath.Join(f.Root, "/var/lib/kforge/state/units")); err != nil {
		t.Fatal(err)
	}
	u.Started = time.Minute
	f.SetUnit("kubelet.service", u)
	if got := f.converge(t, kubelet()); actions(got) != "restart " {
		t.Errorf("changes = %v, want a restart", got)
	}
}

func TestUnitStates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetUnit("a.service", resourcetest.Unit{Active: "active", Sub: "running", File: "enabled", NeedReload: true})
	stop := spec.Resource{ID: "a", Unit: &spec.Unit{Name: "a.service", Enabled: spec.Bool(false), State: "stopped"}}
	if got := f.converge(t, stop); actions(got) != "update update stop " {
		t.Errorf("changes = %v", got)
	}
	f.settled(t, spec.Resource{ID: "none", Unit: &spec.Unit{Name: "none.service", Enabled: spec.Bool(false), State: "stopped"}})
	_, err := f.apply(t, spec.Resource{ID: "none", Unit: &spec.Unit{Name: "none.service", State: "running"}})
	wantKind(t, err, diag.NotFound)

	f.SetUnit("b.service", resourcetest.Unit{Active: "inactive", Fails: true, Log: "boom: no such file\n"})
	_, err = f.apply(t, spec.Resource{ID: "b", Unit: &spec.Unit{Name: "b.service", State: "running"}})
	wantKind(t, err, diag.Command)
	if !strings.Contains(err.Error(), "boom: no such file") || diag.Hint(err) == "" {
		t.Errorf("error %v has no journal or hint", err)
	}
	_, err = f.apply(t, spec.Resource{ID: "bad", Unit: &spec.Unit{Name: "--help", State: "running"}})
	wantKind(t, err, diag.Invalid)
}

func TestPlanAsksSystemdOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SetUnit("a.service", resourcetest.Unit{Active: "active", File: "enabled"})
	f.SetUnit("b.service", resourcetest.Unit{Active: "active", File: "enabled"})
	f.plan(t, spec.Resource{ID: "a", Unit: &spec.Unit{Name: "a.service", State: "running"}},
		spec.Resource{ID: "b", Unit: &spec.Unit{Name: "b.service", State: "running"}})
	if calls := f.Calls(); len(calls) != 1 {
		t.Errorf("calls = %v", calls)
	}
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n")
	r := spec.Resource{ID: "sysctl", Sysctl: &spec.Sysctl{
		Path:       "/etc/sysctl.d/90-kforge.conf",
		Values:     map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456", "net.netfilter.nf_conntrack_max": "1"},
		BestEffort: []string{"net.netfilter.nf_conntrack_max"},
	}}
	if got := f.converge(t, r); actions(got) != "create update " || got[1].Detail != "net.ipv4.ip_forward: 0 to 1" {
		t.Errorf("changes = %+v", got)
	}
	if f.ReadFile("/proc/sys/net/ipv4/ip_forward") != "1\n" || !strings.Contains(f.ReadFile("/etc/sysctl.d/90-kforge.conf"), "\n-net.netfilter.nf_conntrack_max = 1\n") {
		t.Error("values are not set")
	}
	r.Sysctl.Values["net.bridge.bridge-nf-call-iptables"] = "1"
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Unsupported)
	// ... but a plan knows that a module may bring it.
	mod := spec.Resource{ID: "mod", Modules: &spec.Modules{Path: "/etc/modules-load.d/kforge.conf", Names: []string{"br_netfilter"}}}
	if got := f.plan(t, mod, r); actions(got) != "create load update update " {
		t.Errorf("plan = %v", got)
	}
	r.Sysctl.Values = map[string]string{"../../etc/passwd": "1"}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Invalid)
}

func TestModules(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := spec.Resource{ID: "mod", Modules: &spec.Modules{
		Path: "/etc/modules-load.d/kforge.conf", Names: []string{"overlay", "br_netfilter", "nf-conntrack"}, Optional: []string{"ip_vs", "wireguard"},
	}}
	f.write(t, "/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n") // built in: its function shows
	if got := f.converge(t, r); actions(got) != "create load " || got[1].Detail != "overlay" {
		t.Errorf("changes = %+v", got)
	}
	if got := f.ReadFile("/etc/modules-load.d/kforge.conf"); got != spec.Header+"\noverlay\nbr_netfilter\nnf-conntrack\n" {
		t.Errorf("drop-in = %q", got)
	}
	r.Modules.Names = append(r.Modules.Names, "nosuch")
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Command)
}

func TestOptionalModuleThatTheKernelRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/lib/modules/6.1.0-25-amd64/modules.dep", "kernel/x/wireguard.ko:\n")
	f.Commands["modprobe"] = func(context.Context, resource.Cmd) (resource.Result, error) {
		return resource.Result{Code: 1, Stderr: "Operation not permitted"}, nil
	}
	r := spec.Resource{ID: "mod", Modules: &spec.Modules{Path: "/etc/modules-load.d/kforge.conf", Optional: []string{"wireguard"}}}
	if _, err := f.apply(t, r); err != nil {
		t.Fatal(err)
	}
	f.settled(t, r)
}

func TestSwap(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	fstab := "# fstab\nUUID=1 /  ext4 defaults 0 1\n/swap\\040file none\tswap sw 0 0\n#/old none swap sw 0 0\n"
	f.write(t, "/etc/fstab", fstab)
	f.write(t, "/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/swap\\040file file 1000 900 -2\n")
	f.write(t, "/etc/systemd/system/dev-sdb.swap", "[Swap]\nWhat=/dev/sdb\n")
	f.write(t, "/run/systemd/generator/swap.swap", "[Unit]\nSourcePath=/etc/fstab\n")
	f.write(t, "/usr/lib/systemd/system-generators/zram-generator", "")
	f.write(t, "/usr/lib/systemd/zram-generator.conf", "[zram0]\n")
	r := spec.Resource{ID: "swap", Swap: &spec.Swap{Off: true}}
	if got := f.converge(t, r); actions(got) != "stop update update update " || got[0].Detail != "swapoff /swap file" || got[2].Detail != "mask dev-sdb.swap" {
		t.Errorf("changes = %+v", got)
	}
	if got := strings.Replace(f.ReadFile("/etc/fstab"), "# disabled by kforge: ", "", 1); got != fstab {
		t.Errorf("fstab = %q", got)
	}
	if f.ReadFile("/etc/fstab.kforge-orig") != fstab || f.ReadFile("/etc/systemd/system/dev-sdb.swap.kforge-orig") == "" {
		t.Error("originals were not kept")
	}
	f.write(t, "/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb partition 90000000 80000000 -2\n")
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Unsupported)
}

// ociArchive is an archive as far as the fake containerd looks into it.
func ociArchive(t *testing.T, name, manifest string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	index := `{"manifests":[{"digest":"` + manifest + `","annotations":{"io.containerd.image.name":"` + name + `"}}]}`
	if err := tw.WriteHeader(&tar.Header{Name: "index.json", Mode: 0o644, Size: int64(len(index))}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write([]byte(index)); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestImage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	m := digest([]byte("manifest"))
	pause := "registry.k8s.io/pause:3.10.2"
	r := spec.Resource{ID: "image", Image: &spec.Image{Name: pause, Digest: m, Blob: f.blob(t, pause, ociArchive(t, pause, m))}}
	if got := f.plan(t, r); len(got) != 1 || got[0].Pending == "" {
		t.Errorf("plan without containerd = %+v", got)
	}
	f.write(t, "/usr/local/bin/ctr", "")
	if got := f.converge(t, r); actions(got) != "import " {
		t.Errorf("changes = %v", got)
	}
	// The archive holds another image under the name.
	r.Image.Digest = digest([]byte("other"))
	f.blob(t, pause, ociArchive(t, pause, m))
	_, err := f.apply(t, r)
	wantKind(t, err, diag.NotConverged)
}

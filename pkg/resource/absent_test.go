package resource_test

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// details are what changes tell, one a line.
func details(changes []spec.Change) string {
	var out []string
	for _, c := range changes {
		if c.Diff == "" || strings.HasPrefix(c.Diff, "---") {
			out = append(out, string(c.Action)+" "+c.Detail)
		}
		for line := range strings.Lines(c.Diff) {
			if what, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
				out = append(out, "delete "+what)
			}
		}
	}
	return strings.Join(out, "\n")
}

func (f *fixture) there(path string) bool {
	_, err := os.Lstat(filepath.Join(f.Root, path))
	return err == nil
}

func (f *fixture) mount(t *testing.T, points ...string) {
	t.Helper()
	text := "1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
	for i, p := range points {
		text += fmt.Sprintf("%d 1 8:%d / %s rw - ext4 /dev/sdz%d rw\n", i+2, i+20, p, i)
	}
	f.write(t, "/proc/self/mountinfo", text)
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, p := range []string{"/var/lib/kubelet/pods/1/x", "/var/lib/kubelet/config.yaml", "/var/lib/etcd/member/wal", "/var/lib/other/y",
		"/etc/kubernetes/admin.conf", "/etc/kubernetes/mine.txt", "/etc/cni/net.d/10-flannel.conflist", "/data/containerd/blob"} {
		f.write(t, p, "x")
	}
	if err := os.Symlink(filepath.Join(f.Root, "/data/containerd"), filepath.Join(f.Root, "/var/lib/containerd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(f.Root, "/var/lib/other"), filepath.Join(f.Root, "/var/lib/kubelet/link")); err != nil {
		t.Fatal(err)
	}
	f.mount(t, "/var/lib/etcd") // a disk of its own
	r := spec.Resource{ID: "gone", Absent: &spec.Absent{
		Paths:     []string{"/var/lib/kubelet", "/var/lib/etcd", "/var/lib/containerd", "/etc/kubernetes/*.conf", "/etc/cni/net.d/10-flannel.conflist", "/not/there"},
		EmptyDirs: []string{"/etc/cni/net.d", "/etc/cni", "/etc/kubernetes"},
	}}
	got := details(f.converge(t, r))
	want := `delete /var/lib/kubelet
delete /etc/kubernetes/admin.conf
delete /etc/cni/net.d/10-flannel.conflist
delete all in /var/lib/etcd, which is a mount point or a link and stays
delete all in /var/lib/containerd, which is a mount point or a link and stays
delete /etc/cni/net.d, which is empty then
delete /etc/cni, which is empty then`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for p, want := range map[string]bool{"/var/lib/kubelet": false, "/var/lib/etcd": true, "/var/lib/etcd/member": false, "/var/lib/other/y": true,
		"/etc/kubernetes/mine.txt": true, "/var/lib/containerd": true, "/data/containerd/blob": false, "/etc/cni": false} {
		if f.there(p) != want {
			t.Errorf("%s is there: %v, want %v", p, !want, want)
		}
	}
}

func TestAbsentNeverEntersAMount(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/var/lib/kubelet/disk/data", "precious")
	f.mount(t, "/var/lib/kubelet/disk")
	r := spec.Resource{ID: "gone", Absent: &spec.Absent{Paths: []string{"/var/lib/kubelet"}}}
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Foreign)
	if !strings.Contains(err.Error(), "/var/lib/kubelet/disk is mounted") || diag.Hint(err) == "" || !f.there("/var/lib/kubelet/disk/data") {
		t.Errorf("%v, hint %q", err, diag.Hint(err))
	}
}

// A host of which kforge made everything is as before when it is taken away.
func TestOwned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/etc/crictl.yaml", "theirs: true\n")
	f.write(t, "/etc/fstab", "UUID=1 / ext4 defaults 0 1\n/swap none swap sw 0 0\n")
	f.write(t, "/usr/lib/systemd/system/zram-config.service", "[Service]\n")
	f.write(t, "/etc/systemd/system/own.swap", "[Swap]\n")
	f.write(t, "/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/swap\tfile\t1024\t0\t-2\n")
	if err := os.MkdirAll(filepath.Join(f.Root, "/usr/local/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	shape := func() string { // times and the memory of the fake host apart
		var out []string
		for line := range strings.Lines(tree(t, f.Root)) {
			if !strings.Contains(line, "/proc/") && !strings.Contains(line, "/var") {
				out = append(out, strings.Join(strings.Fields(line)[:min(3, len(strings.Fields(line)))], " "))
			}
		}
		return strings.Join(out, "\n")
	}
	before := shape()
	archive := f.blob(t, "tools", tgz(t, tar.Header{Name: "bin/tool", Mode: 0o755, Gname: "ELF"}, tar.Header{Name: "lib/deep/x", Mode: 0o644, Gname: "x"}))
	binary := f.blob(t, "kubelet", []byte("kubelet"))
	over := file("/etc/crictl.yaml", spec.Header+"\nours: true\n")
	over.File.Takeover = true
	f.converge(t,
		file("/etc/new/dir/file", "a"), over,
		spec.Resource{ID: "bin", File: &spec.File{Path: "/usr/local/bin/kubelet", Mode: 0o755, Blob: &binary}},
		spec.Resource{ID: "link", Symlink: &spec.Symlink{Path: "/etc/new/link", Target: "dir"}},
		spec.Resource{ID: "dir", Directory: &spec.Directory{Path: "/opt/x/y", Mode: 0o700}},
		spec.Resource{ID: "archive", Archive: &spec.Archive{Blob: archive, Dest: "/opt/tools"}},
		spec.Resource{ID: "swap", Swap: &spec.Swap{Off: true}},
	)
	rs := []spec.Resource{{ID: "owned", Owned: &spec.Owned{}}, {ID: "swap", Swap: &spec.Swap{Restore: true}}}
	got := details(f.converge(t, rs...))
	for _, want := range []string{
		"delete /usr/local/bin/kubelet", "delete /etc/crictl.yaml: what was there before kforge comes back", "delete /opt/tools/lib/deep, which is empty then",
		"delete /etc/systemd/system/zram-config.service", "delete /etc/systemd/system/own.swap: what was there", "delete /var/lib/kforge: kforge's own records",
		"update /etc/fstab",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if after := shape(); after != before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, before)
	}
}

func TestOwnedLeavesWhatIsSomebodyElsesByNow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.converge(t, file("/etc/a/mine", "a"), file("/etc/a/edited", spec.Header+"\nx\n"))
	f.write(t, "/etc/a/mine", "written by hand")
	f.write(t, "/etc/a/edited", spec.Header+"\ny\n")
	f.write(t, "/etc/a/other", "of somebody")
	if _, err := f.apply(t, spec.Resource{ID: "owned", Owned: &spec.Owned{}}); err != nil {
		t.Fatal(err)
	}
	if f.ReadFile("/etc/a/mine") != "written by hand" || f.there("/etc/a/edited") || !f.there("/etc/a/other") {
		t.Error("removed the wrong files")
	}
	if len(f.events) < 2 || !strings.Contains(f.events[1].Warning, "/etc/a/mine was replaced by somebody else") {
		t.Errorf("events %+v", f.events)
	}
}

func TestUnitForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.settled(t, spec.Resource{ID: "none", Unit: &spec.Unit{Name: "none.service", State: "forgotten"}})
	f.settled(t, spec.Resource{ID: "slice", Unit: &spec.Unit{Name: "kubepods.slice", State: "forgotten"}})
	f.write(t, "/etc/systemd/system/kubelet.service", "[Service]\n")
	f.converge(t, spec.Resource{ID: "start", Unit: &spec.Unit{Name: "kubelet.service", Enabled: spec.Bool(true), State: "running"}})
	stop := spec.Resource{ID: "stop", Unit: &spec.Unit{Name: "kubelet.service", Enabled: spec.Bool(false), State: "stopped"}}
	forget := spec.Resource{ID: "forget", Unit: &spec.Unit{Name: "kubelet.service", State: "forgotten"}}
	f.converge(t, stop)
	f.settled(t, forget) // its file is still there
	if err := os.Remove(filepath.Join(f.Root, "/etc/systemd/system/kubelet.service")); err != nil {
		t.Fatal(err)
	}
	if got := details(f.converge(t, forget)); got != "update forget" {
		t.Errorf("got %q", got)
	}
	if calls := strings.Join(f.Calls(), "\n"); !strings.Contains(calls, "daemon-reload") {
		t.Errorf("calls:\n%s", calls)
	}
}

func TestWiped(t *testing.T) {
	t.Parallel()
	disk := func(t *testing.T) *fixture {
		f := newFixture(t)
		f.write(t, "/dev/sdb", "")
		if err := os.Truncate(filepath.Join(f.Root, "/dev/sdb"), 64<<20); err != nil {
			t.Fatal(err)
		}
		f.write(t, "/sys/class/block/sdb/dev", "8:16\n")
		if err := os.MkdirAll(filepath.Join(f.Root, "/dev/disk/by-id"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../sdb", filepath.Join(f.Root, "/dev/disk/by-id/ata-X")); err != nil {
			t.Fatal(err)
		}
		return f
	}
	poke := func(t *testing.T, f *fixture, at int64) {
		t.Helper()
		d, err := os.OpenFile(filepath.Join(f.Root, "/dev/sdb"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if _, err := d.WriteAt([]byte("signature"), at); err != nil {
			t.Fatal(err)
		}
	}
	r := spec.Resource{ID: "disk", Wiped: &spec.Wiped{Device: "/dev/disk/by-id/ata-X"}}

	t.Run("blank", func(t *testing.T) {
		t.Parallel()
		disk(t).settled(t, r)
	})
	for name, at := range map[string]int64{"at the start": 1080, "at the end": 64<<20 - 512} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := disk(t)
			poke(t, f, at)
			if got := details(f.converge(t, r)); got != "delete everything on /dev/disk/by-id/ata-X (/dev/sdb, 0 GB)" {
				t.Errorf("got %q", got)
			}
		})
	}
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, f *fixture)
		says    string
	}{
		"mounted": {func(t *testing.T, f *fixture) {
			f.write(t, "/proc/self/mountinfo", "1 0 8:16 / /data rw - xfs /dev/sdb rw\n")
		}, "sdb is mounted on /data"},
		"partition mounted": {func(t *testing.T, f *fixture) {
			f.write(t, "/sys/class/block/sdb/sdb1/partition", "1\n")
			f.write(t, "/sys/class/block/sdb1/dev", "8:17\n")
			f.write(t, "/proc/self/mountinfo", "1 0 8:17 / / rw - ext4 /dev/root rw\n")
		}, "sdb1 is mounted on /"},
		"btrfs": {func(t *testing.T, f *fixture) {
			f.write(t, "/proc/self/mountinfo", "1 0 0:40 / /b rw shared:1 - btrfs /dev/sdb rw\n")
		}, "sdb is mounted on /b"},
		"LVM":  {func(t *testing.T, f *fixture) { f.write(t, "/sys/class/block/sdb/holders/dm-0", "") }, "sdb is held by dm-0"},
		"swap": {func(t *testing.T, f *fixture) { f.write(t, "/proc/swaps", "Filename\n/dev/sdb partition 1 0 -2\n") }, "/dev/sdb is swap"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := disk(t)
			poke(t, f, 0)
			tt.prepare(t, f)
			before := tree(t, f.Root)
			_, err := f.apply(t, r)
			wantKind(t, err, diag.Foreign)
			if !strings.Contains(err.Error(), tt.says) || tree(t, f.Root) != before {
				t.Errorf("%v, want %q, and nothing written", err, tt.says)
			}
		})
	}
	f := disk(t)
	f.write(t, "/sys/class/block/sdb/partition", "1\n")
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Invalid)
	_, err = f.apply(t, spec.Resource{ID: "no", Wiped: &spec.Wiped{Device: "/dev/sdc"}})
	wantKind(t, err, diag.NotFound)
	_, err = f.apply(t, spec.Resource{ID: "no", Wiped: &spec.Wiped{Device: "/etc/fstab"}})
	wantKind(t, err, diag.Invalid)
}

// Empty directories go with the records, and only where there are some: until they
// are gone a run that was cut off goes on.
func TestOwnedEmptyDirs(t *testing.T) {
	t.Parallel()
	for _, touched := range []bool{false, true} {
		f := newFixture(t)
		dir := filepath.Join(f.Root, "/etc/cni/net.d")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if touched {
			if _, err := f.apply(t, spec.Resource{ID: "x", File: &spec.File{Path: "/etc/x", Content: []byte("x"), Mode: 0o644}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.apply(t, spec.Resource{ID: "owned", Owned: &spec.Owned{EmptyDirs: []string{"/etc/cni/net.d", "/etc/cni"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Dir(dir)); (err == nil) == touched {
			t.Errorf("kforge was here: %v, /etc/cni: %v", touched, err)
		}
	}
}

package resource_test

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

func file(path, content string) spec.Resource {
	return spec.Resource{ID: "file " + path, Why: "test", File: &spec.File{Path: path, Mode: 0o644, Content: []byte(content)}}
}

func TestFileIsWrittenAndUpdated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := file("/etc/a/b/x.conf", "one\ntwo\n")
	if got := f.converge(t, r); len(got) != 1 || got[0].Action != spec.Create || !strings.Contains(got[0].Diff, "+one\n+two\n") || got[0].Why != "test" {
		t.Errorf("create = %+v", got)
	}
	r.File.Content = []byte("one\n2\n")
	r.File.Mode = 0o600
	got := f.converge(t, r)
	want := "--- /etc/a/b/x.conf\n+++ /etc/a/b/x.conf\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
	if len(got) != 1 || got[0].Detail != "content, mode 0644 to 0600" || got[0].Diff != want {
		t.Errorf("update = %+v", got)
	}
	// Somebody edits it: ours by record, so it is brought back.
	f.write(t, "/etc/a/b/x.conf", "edited\n")
	f.converge(t, r)
	r.File.Absent = true
	if got := f.converge(t, r); actions(got) != "delete " {
		t.Errorf("absent = %v", got)
	}
}

func TestArchiveTakesOver(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/opt/theirs", "theirs")
	r := spec.Resource{ID: "a", Archive: &spec.Archive{
		Blob: f.blob(t, "a", tgz(t, tar.Header{Name: "theirs", Mode: 0o644, Gname: "ours"})), Dest: "/opt", Takeover: true,
	}}
	f.converge(t, r)
	if f.ReadFile("/opt/theirs") != "ours" || f.ReadFile("/opt/theirs.kforge-orig") != "theirs" {
		t.Errorf("the file is %q, the one that was there %q", f.ReadFile("/opt/theirs"), f.ReadFile("/opt/theirs.kforge-orig"))
	}
}

func TestForeignFileIsNotTouched(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/etc/x", "theirs\n")
	r := file("/etc/x", "ours\n")
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Foreign)
	if f.ReadFile("/etc/x") != "theirs\n" {
		t.Error("a foreign file was changed")
	}
	absent := r
	absent.File = &spec.File{Path: "/etc/x", Absent: true}
	f.settled(t, absent)
	if f.ReadFile("/etc/x") != "theirs\n" {
		t.Error("a foreign file was removed")
	}

	r.File.Takeover = true
	f.converge(t, r)
	if f.ReadFile("/etc/x.kforge-orig") != "theirs\n" || f.ReadFile("/etc/x") != "ours\n" {
		t.Error("takeover did not keep the original")
	}
	f.write(t, "/etc/x", "edited\n")
	r.File.Takeover = false
	f.converge(t, r)
	if f.ReadFile("/etc/x.kforge-orig") != "theirs\n" {
		t.Error("the original was overwritten")
	}
}

func TestFileOwnership(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// By header, with no record: an agent whose state was lost.
	f.write(t, "/etc/h", "#!/bin/sh\n"+spec.Header+"\nold\n")
	f.converge(t, file("/etc/h", "new\n"))
	// The same content is nobody's quarrel, and is ours from then on.
	f.write(t, "/etc/same", "same\n")
	f.settled(t, file("/etc/same", "same\n"))
	f.converge(t, file("/etc/same", "other\n"))

	if err := os.Symlink("/etc/passwd", filepath.Join(f.Root, "/etc/link")); err != nil {
		t.Fatal(err)
	}
	_, err := f.apply(t, file("/etc/link", "x"))
	wantKind(t, err, diag.Foreign)
	_, err = f.apply(t, file("/etc", "x"))
	wantKind(t, err, diag.Foreign)
	suid := file("/etc/suid", "x")
	suid.File.Mode = 0o644 | os.ModeSetuid
	_, err = f.apply(t, suid)
	wantKind(t, err, diag.Invalid)
	_, err = f.apply(t, file("/etc/../x", "x"))
	wantKind(t, err, diag.Invalid)
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := file("/etc/s", "hunter2\n")
	r.File.Secret = true
	first := f.converge(t, r)
	r.File.Content = []byte("hunter3\n")
	for _, c := range append(first, f.converge(t, r)...) {
		if strings.Contains(c.Diff+c.Detail, "hunter") {
			t.Errorf("secret shown in %+v", c)
		}
	}
}

func TestFileFromBlob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.blob(t, "tool v1", []byte("\x7fELF\x00binary"))
	r := spec.Resource{ID: "tool", File: &spec.File{Path: "/usr/local/bin/tool", Mode: 0o755, Blob: &b}}
	got := f.converge(t, r)
	if len(got) != 1 || len(got[0].NeedsBlobs) != 1 || got[0].Diff != "" {
		t.Errorf("changes = %+v", got)
	}
	if f.blobs.has(b.Digest) {
		t.Error("the blob was not removed after use")
	}
	// Unchanged, it needs no blob and is not even read: make it unreadable by
	// content, with the same size and times, and the record still vouches.
	b2 := f.blob(t, "tool v2", []byte("\x7fELF\x00other"))
	r.File.Blob = &b2
	f.converge(t, r)

	wrong := f.blob(t, "bad", []byte("good"))
	if err := os.WriteFile(filepath.Join(f.blobs.dir, wrong.Digest), []byte("evil"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.File.Blob = &wrong
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Digest)
	r.File.Blob = &spec.Blob{Digest: digest([]byte("nowhere")), Name: "nowhere"}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.NotFound)
	if f.ReadFile("/usr/local/bin/tool") != "\x7fELF\x00other" {
		t.Error("a failed write changed the file")
	}
}

func TestCrashLeftovers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.blob(t, "tool", []byte("v1"))
	r := spec.Resource{ID: "tool", File: &spec.File{Path: "/usr/local/bin/tool", Mode: 0o755, Blob: &b}}
	f.converge(t, r)
	// Power cut before the rename: the record names the next content, the old
	// file is in place and a temporary one beside it.
	f.write(t, "/usr/local/bin/.tool.kforge-tmp-ABCDEFGH", "half")
	records, err := filepath.Glob(filepath.Join(f.Root, "/var/lib/kforge/state/files/*.json"))
	if err != nil || len(records) != 1 {
		t.Fatalf("records = %v, %v", records, err)
	}
	if err := os.WriteFile(records[0], []byte(`{"path":"/usr/local/bin/tool","digest":"`+digest([]byte("v2"))+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	b2 := f.blob(t, "tool", []byte("v2"))
	r.File.Blob = &b2
	f.converge(t, r)
	if left, _ := filepath.Glob(filepath.Join(f.Root, "/usr/local/bin/.*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	// Record lost or torn: the same content is adopted again.
	for _, torn := range []string{"", "{"} {
		if err := os.WriteFile(records[0], []byte(torn), 0o600); err != nil {
			t.Fatal(err)
		}
		f.settled(t, r)
	}
}

func TestDirectoryAndSymlink(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	d := spec.Resource{ID: "d", Directory: &spec.Directory{Path: "/var/lib/x/y", Mode: 0o700}}
	l := spec.Resource{ID: "l", Symlink: &spec.Symlink{Path: "/opt/l", Target: "/var/lib/x"}}
	if got := f.converge(t, d, l); actions(got) != "create create " {
		t.Errorf("changes = %v", got)
	}
	if fi, err := os.Stat(filepath.Join(f.Root, "/var/lib/x")); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("parent: %v, %v, want mode 0755", fi.Mode(), err)
	}
	d.Directory.Mode, l.Symlink.Target = 0o750, "/var/lib/z"
	if got := f.converge(t, d, l); actions(got) != "update update " {
		t.Errorf("changes = %v", got)
	}
	if err := os.Symlink("/theirs", filepath.Join(f.Root, "/opt/foreign")); err != nil {
		t.Fatal(err)
	}
	_, err := f.apply(t, spec.Resource{ID: "x", Symlink: &spec.Symlink{Path: "/opt/foreign", Target: "/ours"}})
	wantKind(t, err, diag.Foreign)
	f.write(t, "/opt/file", "")
	_, err = f.apply(t, spec.Resource{ID: "x", Directory: &spec.Directory{Path: "/opt/file", Mode: 0o755}})
	wantKind(t, err, diag.Foreign)
}

func TestArchive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	raw := tgz(t,
		tar.Header{Name: "cni-v1/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./cni-v1/bridge", Mode: 0o755, Gname: "bridge-1"},
		tar.Header{Name: "cni-v1/sub/host-local", Mode: 0o755, Gname: "hl-1"},
		tar.Header{Name: "cni-v1/alias", Typeflag: tar.TypeSymlink, Linkname: "bridge"},
		tar.Header{Name: "cni-v1/LICENSE", Mode: 0o644, Gname: "text"},
	)
	r := spec.Resource{ID: "cni", Archive: &spec.Archive{
		Blob: f.blob(t, "cni v1", raw), Dest: "/opt/cni/bin", Strip: 1, Only: []string{"bridge", "sub/host-local", "alias"},
	}}
	f.write(t, "/opt/cni/bin/flannel", "theirs")
	if got := f.converge(t, r); actions(got) != "create " {
		t.Errorf("changes = %v", got)
	}
	if f.ReadFile("/opt/cni/bin/bridge") != "bridge-1" || f.ReadFile("/opt/cni/bin/alias") != "bridge-1" || f.ReadFile("/opt/cni/bin/LICENSE") != "" {
		t.Error("members are not as asked for")
	}
	// A member is damaged: unpacked again.
	f.blob(t, "cni v1", raw)
	f.write(t, "/opt/cni/bin/bridge", "damaged")
	if got := f.converge(t, r); actions(got) != "update " {
		t.Errorf("changes = %v", got)
	}
	// A new version: members replaced.
	r.Archive.Blob = f.blob(t, "cni v2", tgz(t, tar.Header{Name: "cni-v2/bridge", Mode: 0o755, Gname: "bridge-2"}))
	r.Archive.Only = nil
	f.converge(t, r)
	if f.ReadFile("/opt/cni/bin/bridge") != "bridge-2" || f.ReadFile("/opt/cni/bin/flannel") != "theirs" {
		t.Error("upgrade went wrong")
	}
}

func TestBadArchives(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		members []tar.Header
		only    []string
		kind    diag.Kind
	}{
		"traversal":    {[]tar.Header{{Name: "../x", Mode: 0o644}}, nil, diag.Invalid},
		"absolute":     {[]tar.Header{{Name: "/etc/x", Mode: 0o644}}, nil, diag.Invalid},
		"link out":     {[]tar.Header{{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "../../etc"}}, nil, diag.Invalid},
		"behind link":  {[]tar.Header{{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "e"}, {Name: "d/x", Mode: 0o644}}, nil, diag.Invalid},
		"setuid":       {[]tar.Header{{Name: "su", Mode: 0o4755}}, nil, diag.Invalid},
		"device":       {[]tar.Header{{Name: "dev", Typeflag: tar.TypeChar, Mode: 0o644}}, nil, diag.Unsupported},
		"missing only": {[]tar.Header{{Name: "a", Mode: 0o644}}, []string{"b"}, diag.NotFound},
		"foreign":      {[]tar.Header{{Name: "a", Mode: 0o644, Gname: "fine"}, {Name: "theirs", Mode: 0o644, Gname: "ours"}}, nil, diag.Foreign},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.write(t, "/opt/theirs", "theirs")
			r := spec.Resource{ID: "a", Archive: &spec.Archive{Blob: f.blob(t, "a", tgz(t, tt.members...)), Dest: "/opt", Only: tt.only}}
			_, err := f.apply(t, r)
			wantKind(t, err, tt.kind)
			if left, _ := os.ReadDir(filepath.Join(f.Root, "/opt")); len(left) != 1 {
				t.Errorf("a bad archive left %v", left)
			}
			if !f.blobs.has(r.Archive.Blob.Digest) {
				t.Error("the blob of a failed resource was removed")
			}
		})
	}
}

func TestPlanTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.write(t, "/etc/a", "theirs")
	f.write(t, "/etc/b", "theirs")
	changes, err := resource.Plan(t.Context(), f.env, []spec.Resource{file("/etc/a", "x"), file("/etc/b", "x"), file("/etc/c", "x")})
	if err == nil || !strings.Contains(err.Error(), "/etc/a") || !strings.Contains(err.Error(), "/etc/b") || len(changes) != 1 {
		t.Errorf("Plan = %v, %v", changes, err)
	}
	wantKind(t, err, diag.Foreign)
}

package resource_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/resource/resourcetest"
	"kforge.dev/kforge/pkg/spec"
)

// blobs is a blob store in a directory.
type blobs struct{ dir string }

func (b blobs) Open(digest string) (*os.File, error) {
	f, err := os.Open(filepath.Join(b.dir, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.NotFound, "open blob", "%s is not there", digest)
	}
	return f, err
}

func (b blobs) Remove(digest string) error {
	err := os.Remove(filepath.Join(b.dir, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b blobs) has(d string) bool {
	_, err := os.Stat(filepath.Join(b.dir, d))
	return err == nil
}

// fixture is a fake host with everything to apply resources on it.
type fixture struct {
	*resourcetest.Host
	env    *resource.Env
	blobs  blobs
	events []resource.Event
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	h, err := resourcetest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := blobs{t.TempDir()}
	return &fixture{Host: h, blobs: b, env: &resource.Env{Root: h.Root, Runner: h, Blobs: b, Run: "r1", Uptime: h.Uptime}}
}

func (f *fixture) blob(t *testing.T, name string, content []byte) spec.Blob {
	t.Helper()
	d := digest(content)
	if err := os.WriteFile(filepath.Join(f.blobs.dir, d), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return spec.Blob{Digest: d, Size: int64(len(content)), Name: name}
}

func (f *fixture) write(t *testing.T, path, content string) {
	t.Helper()
	if err := f.WriteFile(path, content); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) apply(t *testing.T, rs ...spec.Resource) ([]spec.Change, error) {
	t.Helper()
	f.events = nil
	return resource.Apply(t.Context(), f.env, rs, func(e resource.Event) { f.events = append(f.events, e) })
}

func (f *fixture) plan(t *testing.T, rs ...spec.Resource) []spec.Change {
	t.Helper()
	c, err := resource.Plan(t.Context(), f.env, rs)
	if err != nil {
		t.Fatalf("Plan = %v", err)
	}
	return c
}

// converge checks the laws for any resource: the plan changes no byte, apply
// makes what was planned, and afterwards there is nothing to do.
func (f *fixture) converge(t *testing.T, rs ...spec.Resource) []spec.Change {
	t.Helper()
	before := tree(t, f.Root)
	planned := f.plan(t, rs...)
	if after := tree(t, f.Root); after != before {
		t.Fatalf("Plan changed the host:\n%s\nbefore:\n%s", after, before)
	}
	made, err := f.apply(t, rs...)
	if err != nil {
		t.Fatalf("Apply = %v", err)
	}
	if len(made) != len(planned) {
		t.Errorf("planned %v, made %v", planned, made)
	}
	f.settled(t, rs...)
	return made
}

func (f *fixture) settled(t *testing.T, rs ...spec.Resource) {
	t.Helper()
	if c := f.plan(t, rs...); len(c) > 0 {
		t.Errorf("plan after apply = %v, want nothing", c)
	}
	if c, err := f.apply(t, rs...); err != nil || len(c) > 0 {
		t.Errorf("second Apply = %v, %v, want nothing", c, err)
	}
}

// tree is every path with mode and content.
func tree(t *testing.T, root string) string {
	t.Helper()
	var b bytes.Buffer
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %v", p, fi.Mode())
		if fi.Mode().IsRegular() {
			raw, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s %d", digest(raw), fi.ModTime().UnixNano())
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func actions(changes []spec.Change) string {
	s := ""
	for _, c := range changes {
		s += string(c.Action) + " "
	}
	return s
}

func wantKind(t *testing.T, err error, kind diag.Kind) {
	t.Helper()
	if diag.KindOf(err) != kind {
		t.Fatalf("error %v is of kind %q, want %q", err, diag.KindOf(err), kind)
	}
}

// tgz makes a gzipped tar of headers and contents.
func tgz(t *testing.T, members ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	for _, h := range members {
		body := h.Gname // carries the content in these tests
		h.Gname = ""
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(body))
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := tw.Write([]byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

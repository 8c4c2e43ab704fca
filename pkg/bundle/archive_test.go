package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
)

func makeBundle(t *testing.T) (path string, items Items) {
	t.Helper()
	site := newSite(t)
	items = site.fill(t, "amd64")
	path = filepath.Join(t.TempDir(), "c.bundle")
	if err := Create(t.Context(), path, site.store(t, t.TempDir(), "", false), items, nil); err != nil {
		t.Fatal(err)
	}
	return path, items
}

func TestBundleNeedsNothingElse(t *testing.T) {
	t.Parallel()
	path, items := makeBundle(t) // its site is closed only at the end, but the store knows no address
	entries, err := Verify(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(items) {
		t.Errorf("%d entries, want %d", len(entries), len(items))
	}
	s, err := OpenBundle(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Fetch(t.Context(), items, nil); err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		contentOf(t, s, i)
	}
	arm, err := Catalogue("v1.37.2", "arm64")
	if err != nil {
		t.Fatal(err)
	}
	_, blobErr := s.Blob(arm[0])
	for _, err := range []error{s.Fetch(t.Context(), arm[:1], nil), blobErr} {
		if diag.KindOf(err) != diag.NotFound || !strings.Contains(err.Error(), "kubeadm v1.37.2 for arm64") ||
			!strings.Contains(diag.Hint(err), "--arch arm64") {
			t.Errorf("missing architecture: %v (hint %q)", err, diag.Hint(err))
		}
	}
}

func TestBundleOfBundleIsTheSame(t *testing.T) {
	t.Parallel()
	path, items := makeBundle(t)
	s, err := OpenBundle(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	second := filepath.Join(t.TempDir(), "second")
	if err := Create(t.Context(), second, s, items, nil); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(path)
	b, _ := os.ReadFile(second)
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Error("equal items gave different bundles")
	}
}

func TestDamagedBundleIsRefused(t *testing.T) {
	t.Parallel()
	path, items := makeBundle(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, entries, err := openArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	a.close()
	last := entries[len(entries)-1]
	at := a.members[last.SHA256].offset
	flip := func(n int64) []byte {
		b := bytes.Clone(whole)
		b[n] ^= 1
		return b
	}
	for name, tt := range map[string]struct {
		content []byte
		kind    diag.Kind
		says    string
	}{
		"flipped byte in a member": {flip(at + 2), diag.Digest, last.SHA256},
		"flipped byte in a header": {flip(at - 512 + 20), diag.Digest, "member"},
		"flipped byte in the lock": {flip(512 + 400), diag.Digest, "bundle.lock"},
		"cut short":                {whole[:len(whole)/2], diag.Digest, "member"},
		"cut in the lock":          {whole[:700], diag.Digest, "bundle.lock"},
		"something else":           {[]byte(strings.Repeat("no bundle ", 200)), diag.Invalid, "no bundle"},
		"empty":                    {nil, diag.Invalid, "no bundle"},
		"cut between two members":  {whole[:at-512], diag.Digest, "is not whole"},
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, tt.content, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(t.Context(), bad)
		if diag.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) || diag.Hint(err) == "" {
			t.Errorf("%s: Verify = %v (kind %q), want kind %q that says %q", name, err, diag.KindOf(err), tt.kind, tt.says)
		}
		s, err := OpenBundle(bad)
		if err == nil { // then the damage is in content, and both must see it
			if werr := s.Whole(t.Context()); diag.KindOf(werr) != tt.kind {
				t.Errorf("%s: Whole = %v, want kind %q", name, werr, tt.kind)
			}
			err = s.Fetch(t.Context(), items, nil)
			s.Close()
		}
		if diag.KindOf(err) != tt.kind {
			t.Errorf("%s: OpenBundle and Fetch = %v, want kind %q", name, err, tt.kind)
		}
	}
	if _, err := Inspect(filepath.Join(t.TempDir(), "none")); diag.KindOf(err) != diag.NotFound {
		t.Errorf("Inspect of no file: %v", err)
	}
}

func TestLockFileIsStrict(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"unknown key":   "version: 1\nitemz: []\n",
		"short digest":  "version: 1\nitems:\n- {name: a, version: v1, arch: amd64, kind: file, source: https://a, sha256: abc, size: 1}\n",
		"newer version": "version: 2\nitems: []\n",
	} {
		path := filepath.Join(t.TempDir(), "l")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := NewStore(Options{CacheDir: t.TempDir(), LockPath: path}); diag.Hint(err) == "" {
			t.Errorf("%s: NewStore = %v", name, err)
		}
	}
}

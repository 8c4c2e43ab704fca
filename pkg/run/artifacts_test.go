package run

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// emptyBundle writes a bundle that holds nothing.
func emptyBundle(t *testing.T) string {
	t.Helper()
	lock := "version: 1\nitems: []\n"
	sum := sha256.Sum256([]byte(lock))
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, m := range [][2]string{{"bundle.lock", lock}, {"bundle.lock.sha256", hex.EncodeToString(sum[:]) + "\n"}} {
		if err := w.WriteHeader(&tar.Header{Name: m[0], Mode: 0o644, Size: int64(len(m[1])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "empty.bundle")
	if err := os.WriteFile(path, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMissingArchitectureNamesTheRemedy(t *testing.T) {
	t.Parallel()
	store, err := bundle.OpenBundle(emptyBundle(t))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	arm := map[string]*facts.Host{"n1": {Kernel: facts.Kernel{Arch: "arm64"}}}
	_, err = gather(t.Context(), store, &inventory.Cluster{Version: "v1.37.2"}, arm, func(event.Event) {})
	if diag.KindOf(err) != diag.NotFound || !strings.Contains(err.Error(), "arm64") || !strings.Contains(diag.Hint(err), "--arch arm64") {
		t.Errorf("gather = %v (%q) with hint %q", err, diag.KindOf(err), diag.Hint(err))
	}
	// It stops the hosts of that architecture only.
	a := &artifacts{byArch: map[string]bundle.Items{"amd64": nil}, errs: map[string]error{"arm64": err}}
	if err := a.has("amd64"); err != nil {
		t.Errorf("amd64: %v", err)
	}
	if err := a.has("arm64"); diag.KindOf(err) != diag.NotFound {
		t.Errorf("arm64: %v", err)
	}
}

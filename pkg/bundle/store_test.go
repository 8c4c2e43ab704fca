package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kforge.dev/kforge/pkg/diag"
)

func contentOf(t *testing.T, s *Store, i Item) []byte {
	t.Helper()
	b, err := s.Blob(i)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Open(b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(raw)); got != b.Digest || int64(len(raw)) != b.Size {
		t.Errorf("%s: content is %s of %d bytes, blob says %s of %d", i, got, len(raw), b.Digest, b.Size)
	}
	return raw
}

func TestFetchLocksAndThenNeedsNoNetwork(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64", "arm64")
	dir := t.TempDir()
	lockPath := LockPath(filepath.Join(dir, "inventory.yaml"))
	s := site.store(t, filepath.Join(dir, "cache"), lockPath, false)
	if got := len(s.Unlocked(items)); got != len(items) {
		t.Errorf("%d of %d items are unlocked at first", got, len(items))
	}
	finished := 0
	if err := s.Fetch(t.Context(), items, func(p Progress) {
		if p.Finished {
			finished++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if finished != len(items) {
		t.Errorf("%d items finished, want %d", finished, len(items))
	}
	for _, i := range items {
		raw := contentOf(t, s, i)
		if i.Kind == File && string(raw) != i.Name+" for "+i.Arch {
			t.Errorf("%s holds %q", i, raw)
		}
	}
	first, err := os.ReadFile(lockPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(first, []byte("# Lock file of kforge")) {
		t.Errorf("lock file begins %q", first[:40])
	}

	before := site.count()
	again := site.store(t, filepath.Join(dir, "cache"), lockPath, false)
	if left := again.Unlocked(items); len(left) != 0 {
		t.Errorf("still unlocked: %v", left)
	}
	if err := again.Fetch(t.Context(), items, nil); err != nil {
		t.Fatal(err)
	}
	if n := site.count() - before; n != 0 {
		t.Errorf("a second fetch made %d requests", n)
	}
	second, err := os.ReadFile(lockPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("a second fetch rewrote the lock file")
	}
}

func TestImageArchiveIsDeterministicAndNamed(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64")
	pause, err := items.Image("pause")
	if err != nil {
		t.Fatal(err)
	}
	var archives [2][]byte
	var s *Store
	for n := range archives {
		s = site.store(t, t.TempDir(), "", false)
		if err := s.Fetch(t.Context(), Items{pause}, nil); err != nil {
			t.Fatal(err)
		}
		archives[n] = contentOf(t, s, pause)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two pulls gave two archives")
	}
	members := map[string][]byte{}
	tr := tar.NewReader(bytes.NewReader(archives[0]))
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 {
			t.Errorf("%s has a time", h.Name)
		}
		if members[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
		if sum, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok && sum != hexSum(string(members[h.Name])) {
			t.Errorf("%s holds something else", h.Name)
		}
	}
	if len(members) != 2+2+2 { // index, layout; manifest, config; two layers
		t.Errorf("archive has %d members", len(members))
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(members["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	d := index.Manifests[0]
	res, err := s.Image(pause)
	if err != nil {
		t.Fatal(err)
	}
	if res.Digest != d.Digest.String() || res.Name != pause.Ref {
		t.Errorf("image is %s %s, index names %s", res.Name, res.Digest, d.Digest)
	}
	if d.Annotations["io.containerd.image.name"] != pause.Ref || d.Annotations["org.opencontainers.image.ref.name"] != "3.10.2" {
		t.Errorf("annotations are %v", d.Annotations)
	}
}

func TestChangedSourceIsRefusedUntilUpdate(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64")
	kubelet, err := items.File("kubelet")
	if err != nil {
		t.Fatal(err)
	}
	pause, err := items.Image("pause")
	if err != nil {
		t.Fatal(err)
	}
	two := Items{kubelet, pause}
	lockPath := filepath.Join(t.TempDir(), "c.bundle.lock")
	if err := site.store(t, t.TempDir(), lockPath, false).Fetch(t.Context(), two, nil); err != nil {
		t.Fatal(err)
	}
	site.mu.Lock()
	delete(site.files, "/"+strings.TrimPrefix(kubelet.Checksum, "https://"))
	site.mu.Unlock()
	site.addFile(kubelet, "something else")
	site.addImage(t, pause.Ref, "amd64")
	for _, i := range two {
		err := site.store(t, t.TempDir(), lockPath, false).Fetch(t.Context(), Items{i}, nil)
		if diag.KindOf(err) != diag.Digest || !strings.Contains(err.Error(), i.Source()) || !strings.Contains(err.Error(), lockPath) {
			t.Errorf("%s: error is %v", i, err)
		}
		if !strings.Contains(diag.Hint(err), "--update") {
			t.Errorf("%s: hint is %q", i, diag.Hint(err))
		}
	}
	if err := site.store(t, t.TempDir(), lockPath, true).Fetch(t.Context(), two, nil); err != nil {
		t.Fatal(err)
	}
	if err := site.store(t, t.TempDir(), lockPath, false).Fetch(t.Context(), two, nil); err != nil {
		t.Errorf("after an update: %v", err)
	}
}

func TestFetchErrors(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64")
	kubelet, _ := items.File("kubelet")
	pause, _ := items.Image("pause")
	onARM := func(i Item) Item { i.Arch = "arm64"; return i }
	noFile := onARM(kubelet)
	noFile.URL = strings.ReplaceAll(noFile.URL, "amd64", "arm64")
	noFile.Checksum = noFile.URL + ".sha256"
	noTag := pause
	noTag.Ref = "registry.k8s.io/pause:9.9"
	damagedFile := kubelet
	damagedFile.URL = strings.ReplaceAll(kubelet.URL, "kubelet", "damaged")
	damagedFile.Checksum = damagedFile.URL + ".sha256"
	site.addFile(damagedFile, "right")
	site.mu.Lock()
	site.files["/"+strings.TrimPrefix(damagedFile.URL, "https://")] = []byte("wrong")
	site.mu.Unlock()
	for name, tt := range map[string]struct {
		item Item
		kind diag.Kind
	}{
		"file of no such architecture":  {noFile, diag.NotFound},
		"image of no such architecture": {onARM(pause), diag.NotFound},
		"no such tag":                   {noTag, diag.NotFound},
		"damaged in the mirror":         {damagedFile, diag.Digest},
	} {
		err := site.store(t, t.TempDir(), "", false).Fetch(t.Context(), Items{tt.item}, nil)
		if diag.KindOf(err) != tt.kind || diag.Hint(err) == "" || !strings.Contains(err.Error(), tt.item.Arch) {
			t.Errorf("%s: error is %v (kind %q, hint %q), want kind %q", name, err, diag.KindOf(err), diag.Hint(err), tt.kind)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := site.store(t, t.TempDir(), "", false).Fetch(ctx, items, nil); diag.KindOf(err) != diag.Canceled {
		t.Errorf("canceled fetch: %v", err)
	}
	away, err := NewStore(Options{CacheDir: t.TempDir(), Mirror: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	away.src.(*fetcher).pause = nil
	if err := away.Fetch(t.Context(), Items{kubelet, pause}, nil); diag.KindOf(err) != diag.Unreachable {
		t.Errorf("no mirror: %v", err)
	}
}

func TestFetchTriesAgainAndMendsTheCache(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64")
	runc, _ := items.File("runc")
	dir := t.TempDir()
	s := site.store(t, dir, "", false)
	s.src.(*fetcher).pause = append(s.src.(*fetcher).pause, 1, 1)
	site.broken = 2
	if err := s.Fetch(t.Context(), Items{runc}, nil); err != nil {
		t.Fatal(err)
	}
	b, _ := s.Blob(runc)
	path := s.src.(*fetcher).cache.path(strings.TrimPrefix(b.Digest, "sha256:"))
	if err := os.WriteFile(path, []byte("rotten"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Fetch(t.Context(), Items{runc}, nil); err != nil {
		t.Fatal(err)
	}
	contentOf(t, s, runc)
}

func TestStoresShareCacheAndLock(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	items := site.fill(t, "amd64")
	dir := t.TempDir()
	lockPath := filepath.Join(dir, "c.bundle.lock")
	var wg sync.WaitGroup
	errs := make([]error, len(items))
	for n, i := range items { // one store each, as processes would have
		s := site.store(t, dir, lockPath, false)
		wg.Go(func() { errs[n] = s.Fetch(t.Context(), Items{i, items[0]}, nil) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if left := site.store(t, dir, lockPath, false).Unlocked(items); len(left) != 0 {
		t.Errorf("lost from the lock file: %v", left)
	}
}

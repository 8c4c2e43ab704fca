package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// site is a mirror in the official layout, and counts what is asked of it.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests int
	broken   int // this many file requests answer 503
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{files: map[string][]byte{}}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests++
		content, ok := s.files[r.URL.Path]
		unwell := s.broken > 0 && !strings.HasPrefix(r.URL.Path, "/v2/")
		if unwell {
			s.broken--
		}
		s.mu.Unlock()
		switch {
		case strings.HasPrefix(r.URL.Path, "/v2/"):
			images.ServeHTTP(w, r)
		case unwell:
			http.Error(w, "unwell", http.StatusServiceUnavailable)
		case ok:
			w.Write(content)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// addFile serves content where the mirror layout has it, with its checksum.
func (s *site) addFile(i Item, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := sha256.Sum256([]byte(content))
	s.files["/"+strings.TrimPrefix(i.URL, "https://")] = []byte(content)
	at := "/" + strings.TrimPrefix(i.Checksum, "https://")
	base := i.URL[strings.LastIndexByte(i.URL, '/')+1:]
	s.files[at] = append(s.files[at], hex.EncodeToString(sum[:])+"  "+base+"\n"...)
}

// addImage pushes an index with one random image for each architecture.
func (s *site) addImage(t *testing.T, ref string, archs ...string) {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, "application/vnd.oci.image.index.v1+json")
	for _, arch := range archs {
		img, err := random.Image(600, 2)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.Architecture, config.OS = arch, "linux"
		if img, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	tag, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://")+"/"+ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
}

// fill serves a whole catalogue.
func (s *site) fill(t *testing.T, archs ...string) Items {
	t.Helper()
	items, err := CatalogueAll([]string{"v1.37.2"}, archs)
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	for _, i := range items {
		switch {
		case i.Kind == File:
			s.addFile(i, fmt.Sprintf("%s for %s", i.Name, i.Arch))
		case !done[i.Ref]:
			done[i.Ref] = true
			s.addImage(t, i.Ref, archs...)
		}
	}
	return items
}

func (s *site) store(t *testing.T, cache, lockPath string, update bool) *Store {
	t.Helper()
	st, err := NewStore(Options{CacheDir: cache, LockPath: lockPath, Mirror: s.URL, Update: update})
	if err != nil {
		t.Fatal(err)
	}
	st.src.(*fetcher).pause = nil
	t.Cleanup(func() { st.Close() })
	return st
}

func TestMirrorAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct{ mirror, file, image string }{
		{"", "https://dl.k8s.io/a/b", "registry.k8s.io/pause:3.10"},
		{"http://m:5000", "http://m:5000/dl.k8s.io/a/b", "m:5000/registry.k8s.io/pause:3.10"},
		{"https://m.example.org/sub/", "https://m.example.org/sub/dl.k8s.io/a/b", "m.example.org/registry.k8s.io/pause:3.10"},
	}
	for _, tt := range tests {
		m, err := parseMirror(tt.mirror)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.url("https://dl.k8s.io/a/b"); got != tt.file {
			t.Errorf("mirror %q: url = %q, want %q", tt.mirror, got, tt.file)
		}
		ref, err := m.image("registry.k8s.io/pause:3.10")
		if err != nil {
			t.Fatal(err)
		}
		if got := ref.String(); got != tt.image {
			t.Errorf("mirror %q: image = %q, want %q", tt.mirror, got, tt.image)
		}
		if tt.mirror == "http://m:5000" && ref.Context().Scheme() != "http" {
			t.Errorf("image of an http mirror is pulled over %s", ref.Context().Scheme())
		}
	}
	if _, err := parseMirror("mirror.example.org"); err == nil {
		t.Error("a mirror without scheme was taken")
	}
}

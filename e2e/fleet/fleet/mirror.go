package fleet

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kforge.dev/kforge/pkg/bundle"
)

// version of Kubernetes that the mirror has: the inventory's default.
const version = "v1.37.2"

// Mirror serves small artifacts of the right names in the official layout. It
// is the same at every start, so that a lock file stays true.
type Mirror struct{ *httptest.Server }

// NewMirror starts a mirror. Close it.
func NewMirror() (*Mirror, error) {
	items, err := bundle.Catalogue(version, runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	m := &Mirror{httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := files[r.URL.Path]
		switch {
		case strings.HasPrefix(r.URL.Path, "/v2/"):
			images.ServeHTTP(w, r)
		case ok:
			_, _ = w.Write(content)
		default:
			http.NotFound(w, r)
		}
	}))}
	// Nobody asks before this function returns.
	for _, i := range items {
		if i.Kind == bundle.Image {
			err = m.push(i)
		} else {
			err = addFile(files, i)
		}
		if err != nil {
			m.Close()
			return nil, fmt.Errorf("serve %s: %w", i, err)
		}
	}
	return m, nil
}

func addFile(files map[string][]byte, i bundle.Item) error {
	content := []byte("#!/bin/sh\necho " + i.String() + "\n")
	var err error
	switch i.Name {
	case "containerd":
		content, err = archive("bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr")
	case "cni-plugins":
		content, err = archive("bridge", "host-local", "loopback", "portmap")
	}
	if err != nil {
		return err
	}
	at := func(url string) string { return "/" + strings.TrimPrefix(url, "https://") }
	files[at(i.URL)] = content
	files[at(i.Checksum)] = append(files[at(i.Checksum)], fmt.Sprintf("%x  %s\n", sha256.Sum256(content), path.Base(i.URL))...)
	return nil
}

// archive is a gzipped tar of small programs.
func archive(names ...string) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, n := range names {
		content := "#!/bin/sh\necho " + n + "\n"
		if err := tw.WriteHeader(&tar.Header{Name: n, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(tw, content); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// push puts an image of one tiny layer into the registry.
func (m *Mirror) push(i bundle.Item) error {
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer([]byte("layer of "+i.Ref), types.OCILayer))
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = i.Arch, "linux"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: i.Arch}},
	})
	ref, err := name.ParseReference(strings.TrimPrefix(m.URL, "http://")+"/"+i.Ref, name.Insecure)
	if err != nil {
		return err
	}
	return remote.WriteIndex(ref, index)
}

// Bundle writes all that the mirror has into one file, for --bundle. cache is a
// folder.
func (m *Mirror) Bundle(ctx context.Context, file, cache string) error {
	items, err := bundle.Catalogue(version, runtime.GOARCH)
	if err != nil {
		return err
	}
	store, err := bundle.NewStore(bundle.Options{CacheDir: cache, Mirror: m.URL})
	if err != nil {
		return err
	}
	defer store.Close()
	return bundle.Create(ctx, file, store, items, nil)
}

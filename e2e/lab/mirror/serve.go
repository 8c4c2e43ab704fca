package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// IDPath is where a running mirror tells its ID.
const IDPath = "/-/id"

// Serve serves m on the address listen until ctx ends.
func Serve(ctx context.Context, listen string, m Mirror) error {
	handler, err := m.Handler()
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("serving the mirror: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the mirror: %w", err)
	}
	return nil
}

// Handler answers GET and HEAD for the files, and under /v2/ as a registry whose repositories are named by official reference,
// such as registry.k8s.io/kube-proxy.
func (m Mirror) Handler() (http.Handler, error) {
	var blobs blobDirs
	var files roots
	for _, one := range append([]Mirror{m}, m.Beside...) {
		blobs = append(blobs, filepath.Join(one.Images, "blobs"))
		files = append(files, http.Dir(one.Files))
	}
	images := registry.New(registry.WithBlobHandler(blobs), registry.Logger(log.New(io.Discard, "", 0)))
	for _, one := range append([]Mirror{m}, m.Beside...) {
		if err := publish(images, one.Images); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", images)
	mux.HandleFunc(IDPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, m.ID) })
	mux.Handle("/", http.FileServer(files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "this mirror is read-only", http.StatusMethodNotAllowed)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// publish tells the registry of every image of the layout. Blobs need no upload: the registry reads them from the layout.
func publish(images http.Handler, dir string) error {
	index, err := readIndex(filepath.Join(dir, "index.json"))
	if err != nil {
		return err
	}
	for _, image := range index.Manifests {
		ref := image.Annotations[refName]
		// The tag follows the last colon; a registry's port would come before a slash.
		colon := strings.LastIndex(ref, ":")
		if colon < 0 || strings.Contains(ref[colon:], "/") {
			return fmt.Errorf("publishing image %q: it has no tag", ref)
		}
		repo, tag := ref[:colon], ref[colon+1:]
		platforms, err := readIndex(blobPath(dir, image.Digest))
		if err != nil {
			return err
		}
		for _, p := range platforms.Manifests {
			if err := put(images, dir, repo, p.Digest.String(), p); err != nil {
				return err
			}
		}
		if err := put(images, dir, repo, tag, image); err != nil {
			return err
		}
	}
	return nil
}

func put(images http.Handler, dir, repo, ref string, manifest v1.Descriptor) error {
	body, err := os.ReadFile(blobPath(dir, manifest.Digest))
	if err != nil {
		return fmt.Errorf("publishing %s: %w", repo, err)
	}
	request := httptest.NewRequest(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, bytes.NewReader(body))
	request.Header.Set("Content-Type", string(manifest.MediaType))
	answer := httptest.NewRecorder()
	images.ServeHTTP(answer, request)
	if answer.Code != http.StatusCreated {
		return fmt.Errorf("publishing %s:%s: %d: %s", repo, ref, answer.Code, strings.TrimSpace(answer.Body.String()))
	}
	return nil
}

func readIndex(file string) (*v1.IndexManifest, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading an image index: %w", err)
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return &index, nil
}

func blobPath(dir string, h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }

// roots are directories that are served as one: the first that has a file gives it.
type roots []http.Dir

func (r roots) Open(name string) (http.File, error) {
	var last error
	for _, root := range r {
		f, err := root.Open(name)
		if err == nil {
			return f, nil
		}
		last = err
	}
	return nil, last
}

// blobDirs serves blobs from the blobs directories of OCI layouts. Unlike go-containerregistry's own disk handler it does not
// hash a blob at every request: layouts are content-addressed and written once.
type blobDirs []string

// path is where a blob is, or would be.
func (d blobDirs) path(h v1.Hash) string {
	for _, dir := range d {
		path := filepath.Join(dir, h.Algorithm, h.Hex)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(d[0], h.Algorithm, h.Hex)
}

func (d blobDirs) Get(_ context.Context, _ string, h v1.Hash) (io.ReadCloser, error) {
	f, err := os.Open(d.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, registry.ErrNotFound
	}
	return f, err
}

func (d blobDirs) Stat(_ context.Context, _ string, h v1.Hash) (int64, error) {
	info, err := os.Stat(d.path(h))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, registry.ErrNotFound
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

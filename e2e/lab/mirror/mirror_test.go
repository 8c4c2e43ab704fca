package mirror

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"kforge.dev/kforge/e2e/lab/artifact"
)

// fakeSet is a set whose files hold their own names.
func fakeSet(t *testing.T) artifact.Set {
	t.Helper()
	versions, err := artifact.For("v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	set := artifact.Set{Versions: versions}
	for artifactName, files := range map[string][]string{
		"kubernetes": {"kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-proxy"},
		"containerd": {"containerd", "containerd-shim-runc-v2", "ctr"},
		"runc":       {"runc"}, "cni-plugins": {"bridge", "loopback"}, "flannel": {"flanneld", "kube-flannel.yml"},
		"flannel-cni-plugin": {"flannel"}, "probe": {"probe"}, "pause": {"pause"}, "etcd": {"etcd", "etcdctl", "etcdutl"},
	} {
		dir := t.TempDir()
		for _, file := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(file), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		set.Artifacts = append(set.Artifacts, artifact.Artifact{Name: artifactName, Dir: dir, Files: files})
	}
	root := t.TempDir()
	var archive bytes.Buffer
	if err := writeTar(t.Context(), &archive, []entry{{Name: "./"}, {Name: "./bin/"}, {Name: "./bin/sh", Link: "dash"}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "root.tar"), archive.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"net-root", "proxy-root"} {
		set.Artifacts = append(set.Artifacts, artifact.Artifact{Name: name, Dir: root, Files: []string{"root.tar"}})
	}
	return set
}

// layOut lays out the fake set of a Kubernetes version.
func layOut(t *testing.T, id, version, etcd string) Mirror {
	t.Helper()
	set := fakeSet(t)
	set.Versions.Kubernetes = version
	m := Mirror{ID: id, Files: t.TempDir(), Images: t.TempDir()}
	if err := writeFiles(t.Context(), set, m.Files); err != nil {
		t.Fatal(err)
	}
	list, err := images(set, []string{
		"registry.k8s.io/kube-apiserver:" + version, "registry.k8s.io/kube-proxy:" + version, "registry.k8s.io/etcd:" + etcd,
		"registry.k8s.io/pause:3.10.2",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeImages(t.Context(), list, m.Images); err != nil {
		t.Fatal(err)
	}
	return m
}

// serve serves the fake set, and others beside it.
func serve(t *testing.T, beside ...Mirror) *httptest.Server {
	t.Helper()
	m := layOut(t, "test", "v1.37.2", "3.7.0-0").With(beside...)
	handler, err := m.Handler()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %s, %v", url, response.Status, err)
	}
	return body
}

func hexSum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func TestFilesLookOfficial(t *testing.T) {
	t.Parallel()
	server := serve(t)
	kubeadm := server.URL + "/dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubeadm"
	if got := fetch(t, kubeadm); string(got) != "kubeadm" {
		t.Errorf("kubeadm = %q", got)
	}
	if got := fetch(t, kubeadm+".sha256"); string(got) != hexSum([]byte("kubeadm")) {
		t.Errorf("kubeadm.sha256 = %q, want bare hex", got)
	}
	runc := server.URL + "/github.com/opencontainers/runc/releases/download/v1.5.2/"
	if got := fetch(t, runc+"runc.sha256sum"); string(got) != hexSum(fetch(t, runc+"runc.amd64"))+"  runc.amd64\n" {
		t.Errorf("runc.sha256sum = %q", got)
	}
	containerd := server.URL + "/github.com/containerd/containerd/releases/download/v2.4.2/containerd-2.4.2-linux-amd64.tar.gz"
	archive := fetch(t, containerd)
	if got := fetch(t, containerd+".sha256sum"); string(got) != hexSum(archive)+"  containerd-2.4.2-linux-amd64.tar.gz\n" {
		t.Errorf("sha256sum = %q", got)
	}
	if diff := cmp.Diff([]string{"bin/", "bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"}, tarNames(t, archive)); diff != "" {
		t.Errorf("containerd (-want +got):\n%s", diff)
	}
	cni := fetch(t, server.URL+"/github.com/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz")
	if diff := cmp.Diff([]string{"./", "./bridge", "./loopback"}, tarNames(t, cni)); diff != "" {
		t.Errorf("cni plugins (-want +got):\n%s", diff)
	}
	if got := fetch(t, server.URL+IDPath); string(got) != "test\n" {
		t.Errorf("id = %q", got)
	}
}

// Two versions at once, for upgrades: what both have is there once.
func TestTwoVersions(t *testing.T) {
	t.Parallel()
	older := layOut(t, "older", "v1.36.3", "3.6.8-0")
	server := serve(t, older)
	host := strings.TrimPrefix(server.URL, "http://")
	for _, version := range []string{"v1.37.2", "v1.36.3"} {
		if got := fetch(t, server.URL+"/dl.k8s.io/release/"+version+"/bin/linux/amd64/kubeadm"); string(got) != "kubeadm" {
			t.Errorf("kubeadm %s = %q", version, got)
		}
	}
	for _, image := range []string{"kube-proxy:v1.37.2", "kube-proxy:v1.36.3", "etcd:3.7.0-0", "etcd:3.6.8-0", "pause:3.10.2"} {
		ref, err := name.ParseReference(host+"/registry.k8s.io/"+image, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(ref)
		if err != nil {
			t.Fatalf("pulling %s: %v", image, err)
		}
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		for _, layer := range layers {
			content, err := layer.Compressed()
			if err != nil {
				t.Fatalf("pulling a layer of %s: %v", image, err)
			}
			if _, err := io.Copy(io.Discard, content); err != nil {
				t.Errorf("reading a layer of %s: %v", image, err)
			}
			content.Close()
		}
	}
	one := Mirror{ID: "test"}
	if both := one.With(older); one.With().ID != "test" || both.ID == one.ID || both.ID == older.ID || both.ID != one.With(older).ID {
		t.Errorf("ids are %q, %q", one.ID, both.ID)
	}
}

func tarNames(t *testing.T, gzipped []byte) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(gzipped))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestImagesCanBePulled(t *testing.T) {
	t.Parallel()
	registry := strings.TrimPrefix(serve(t).URL, "http://")
	for ref, want := range map[string]struct{ path, entrypoint string }{
		"registry.k8s.io/kube-apiserver:v1.37.2":                {path: "usr/local/bin/kube-apiserver"},
		"registry.k8s.io/kube-proxy:v1.37.2":                    {path: "usr/local/bin/kube-proxy"},
		"registry.k8s.io/etcd:3.7.0-0":                          {path: "usr/local/bin/etcdctl"},
		"registry.k8s.io/pause:3.10.2":                          {path: "pause", entrypoint: "/pause"},
		"ghcr.io/flannel-io/flannel:v0.26.7":                    {path: "opt/bin/flanneld", entrypoint: "/opt/bin/flanneld"},
		"ghcr.io/flannel-io/flannel-cni-plugin:v1.6.2-flannel1": {path: "flannel"},
		"kforge.dev/lab/probe:v1":                               {path: "probe", entrypoint: "/probe"},
	} {
		img, err := remote.Image(mustRef(t, registry+"/"+ref), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}),
			remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("pulling %s: %v", ref, err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(config.Config.Entrypoint, " "); got != want.entrypoint {
			t.Errorf("%s: entrypoint %q, want %q", ref, got, want.entrypoint)
		}
		if !hasFile(t, img, want.path) {
			t.Errorf("%s lacks /%s", ref, want.path)
		}
	}
}

func mustRef(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// hasFile reads all layers, whose digests the client verifies on the way.
func hasFile(t *testing.T, img v1.Image, path string) bool {
	t.Helper()
	content := mutate.Extract(img)
	defer content.Close()
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Name == path {
			return header.Mode == 0o755
		}
	}
}

func TestMirrorIsReadOnly(t *testing.T) {
	t.Parallel()
	server := serve(t)
	for _, path := range []string{"/v2/a/blobs/uploads/", "/dl.k8s.io/x"} {
		response, err := http.Post(server.URL+path, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s = %s, want it refused", path, response.Status)
		}
	}
}

func TestUnknownImageIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := images(fakeSet(t), []string{"registry.k8s.io/new-thing:v1"}); err == nil || !strings.Contains(err.Error(), "new-thing") {
		t.Errorf("images() = %v, want an error that names the image", err)
	}
}

func TestTarIsDeterministic(t *testing.T) {
	t.Parallel()
	set := fakeSet(t)
	var a, b bytes.Buffer
	for _, w := range []io.Writer{&a, &b} {
		if err := writeTar(t.Context(), w, inBin(set, "etcd", "etcd", "etcdctl")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of the same files differ")
	}
}

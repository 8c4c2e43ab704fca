package mirror

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/proc"
)

// refName is the annotation under which the layout's index keeps an image's official reference.
const refName = "org.opencontainers.image.ref.name"

// image is the recipe of one container image: programs on nothing or on a root file system.
type image struct {
	Ref        string // official reference, registry and all
	Base       string // path of a root.tar, or empty for scratch
	Entries    []entry
	Entrypoint []string
}

// images lists what the mirror holds. The references of the control plane's images are those that kubeadm itself asks for.
func images(set artifact.Set, kubeadmRefs []string) ([]image, error) {
	var out []image
	for _, ref := range kubeadmRefs {
		img, err := controlPlaneImage(set, ref)
		if err != nil {
			return nil, err
		}
		out = append(out, img)
	}
	v := set.Versions
	return append(out,
		image{
			Ref: "ghcr.io/flannel-io/flannel:" + v.Flannel, Base: set.File("net-root", "root.tar"),
			Entries:    []entry{{Name: "opt/bin/"}, {Name: "opt/bin/flanneld", From: set.File("flannel", "flanneld")}},
			Entrypoint: []string{"/opt/bin/flanneld"},
		},
		image{
			// A shell is needed here: the DaemonSet copies the plugin with cp.
			Ref: "ghcr.io/flannel-io/flannel-cni-plugin:" + v.FlannelCNITag, Base: set.File("net-root", "root.tar"),
			Entries: []entry{{Name: "flannel", From: set.File("flannel-cni-plugin", "flannel")}},
		},
		image{Ref: "docker.io/library/haproxy:" + v.HAProxy, Base: set.File("proxy-root", "root.tar")},
		image{
			Ref:        "kforge.dev/lab/probe:v1",
			Entries:    []entry{{Name: "probe", From: set.File("probe", "probe")}},
			Entrypoint: []string{"/probe"},
		},
	), nil
}

func controlPlaneImage(set artifact.Set, ref string) (image, error) {
	name, _, _ := strings.Cut(path.Base(ref), ":")
	img := image{Ref: ref}
	switch name {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler":
		img.Entries = inBin(set, "kubernetes", name)
	case "kube-proxy":
		img.Entries, img.Base = inBin(set, "kubernetes", name), set.File("net-root", "root.tar")
	case "etcd":
		img.Entries = inBin(set, "etcd", "etcd", "etcdctl", "etcdutl")
	case "coredns":
		img.Entries = []entry{{Name: "coredns", From: set.File("coredns", "coredns")}}
		img.Entrypoint = []string{"/coredns"}
	case "pause":
		img.Entries = []entry{{Name: "pause", From: set.File("pause", "pause")}}
		img.Entrypoint = []string{"/pause"}
	default:
		return image{}, fmt.Errorf("kubeadm asks for image %s, which the lab does not know how to build", ref)
	}
	return img, nil
}

func inBin(set artifact.Set, from string, names ...string) []entry {
	out := []entry{{Name: "usr/local/bin/"}}
	for _, name := range names {
		out = append(out, entry{Name: "usr/local/bin/" + name, From: set.File(from, name)})
	}
	return out
}

// kubeadmImages asks the kubeadm of the set which images it wants.
func kubeadmImages(ctx context.Context, set artifact.Set) ([]string, error) {
	out, err := proc.Output(ctx, set.File("kubernetes", "kubeadm"), "config", "images", "list",
		"--kubernetes-version", set.Versions.Kubernetes)
	if err != nil {
		return nil, err
	}
	return strings.Fields(out), nil
}

// writeImages writes all images to an OCI layout in dir. Each is an index with one platform, like the official ones.
func writeImages(ctx context.Context, list []image, dir string) error {
	out, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("starting an image layout: %w", err)
	}
	bases := map[string]v1.Layer{}
	for _, img := range list {
		index, err := buildImage(ctx, img, bases)
		if err != nil {
			return fmt.Errorf("building image %s: %w", img.Ref, err)
		}
		if err := out.AppendIndex(index, layout.WithAnnotations(map[string]string{refName: img.Ref})); err != nil {
			return fmt.Errorf("writing image %s: %w", img.Ref, err)
		}
	}
	return nil
}

func buildImage(ctx context.Context, img image, bases map[string]v1.Layer) (v1.ImageIndex, error) {
	var layers []v1.Layer
	if img.Base != "" {
		if bases[img.Base] == nil {
			base, err := tarball.LayerFromFile(img.Base, layerOptions()...)
			if err != nil {
				return nil, err
			}
			bases[img.Base] = base
		}
		layers = append(layers, bases[img.Base])
	}
	top, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return tarReader(ctx, img.Entries), nil }, layerOptions()...)
	if err != nil {
		return nil, err
	}
	built := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	built, err = mutate.ConfigFile(built, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", Created: v1.Time{Time: epoch}, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: img.Entrypoint,
			Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			WorkingDir: "/",
		},
	})
	if err != nil {
		return nil, err
	}
	built, err = mutate.AppendLayers(built, append(layers, top)...)
	if err != nil {
		return nil, err
	}
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add:        built,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}},
	}), nil
}

// layerOptions: zstd at its fastest, which containerd unpacks several times faster than gzip.
func layerOptions() []tarball.LayerOption {
	return []tarball.LayerOption{
		tarball.WithCompression(compression.ZStd), tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayerZStd),
		tarball.WithCompressedCaching,
	}
}

// tarReader streams entries as a tar archive. Closing it early ends the writer.
func tarReader(ctx context.Context, entries []entry) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTar(ctx, w, entries)) }() // ends at the last entry or when r is closed
	return r
}

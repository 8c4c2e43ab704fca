// Package bundle knows the artifacts of a cluster by version and digest: which
// they are, where they come from, what was locked, and how they travel in one
// archive to a site without internet. It never gives out content whose digest
// it has not checked.
package bundle

import (
	"fmt"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// Kind of an artifact.
type Kind string

const (
	File  Kind = "file"  // a binary or archive behind a URL
	Image Kind = "image" // a container image in a registry
)

// Roles of hosts that need an artifact, named as in the inventory.
const (
	ControlPlane = "control-plane"
	Worker       = "worker"
	// LoadBalancer is a node that has a load balancer of its own before the API
	// servers, beside its other role.
	LoadBalancer = "load-balancer"
	// VirtualIP is a control plane that takes its turn at the API's virtual
	// address.
	VirtualIP = "virtual-ip"
)

// Item is one artifact for one architecture.
type Item struct {
	Name    string // "kubelet", "containerd", "kube-apiserver", "flannel"
	Version string // as the source writes it: "v1.37.2", "3.7.0-0"
	Kind    Kind
	Arch    string // "amd64", "arm64"
	// URL is the official https address of a file.
	URL string
	// Checksum is the official https address of a file's SHA-256: one hex number, or
	// lines of sha256sum.
	Checksum string
	// Ref is the official name of an image: "registry.k8s.io/pause:3.10.2". It is
	// the name that hosts know the image by, wherever it was pulled from.
	Ref string
	// Roles of the hosts that need it.
	Roles []string
}

// Source is the item's official address, which the lock file records.
func (i Item) Source() string {
	if i.Kind == Image {
		return i.Ref
	}
	return i.URL
}

// String is what a person calls it: "kubelet v1.37.2 (amd64)".
func (i Item) String() string { return fmt.Sprintf("%s %s (%s)", i.Name, i.Version, i.Arch) }

// Repository is an image's name without tag; kubeadm's configuration wants it
// without its last element too.
func (i Item) Repository() string {
	repo, _ := splitTag(i.Ref)
	return repo
}

// Tag is an image's tag.
func (i Item) Tag() string {
	_, tag := splitTag(i.Ref)
	return tag
}

func splitTag(ref string) (repo, tag string) {
	if colon := strings.LastIndexByte(ref, ':'); colon > strings.LastIndexByte(ref, '/') {
		return ref[:colon], ref[colon+1:]
	}
	return ref, ""
}

// Items are artifacts, of one or more architectures and versions.
type Items []Item

// For keeps what a host with any of these roles needs.
func (is Items) For(roles ...string) Items {
	return is.where(func(i Item) bool {
		return slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(i.Roles, r) })
	})
}

// Images keeps the images.
func (is Items) Images() Items { return is.where(func(i Item) bool { return i.Kind == Image }) }

// Files keeps the files.
func (is Items) Files() Items { return is.where(func(i Item) bool { return i.Kind == File }) }

// File gives the first file of that name. An unknown name is an error of kind
// not-found.
func (is Items) File(name string) (Item, error) { return is.find(File, name) }

// Image gives the first image of that name: "pause", "etcd", "coredns",
// "kube-apiserver", "flannel", "flannel-cni-plugin".
func (is Items) Image(name string) (Item, error) { return is.find(Image, name) }

func (is Items) find(kind Kind, name string) (Item, error) {
	for _, i := range is {
		if i.Kind == kind && i.Name == name {
			return i, nil
		}
	}
	return Item{}, diag.New(diag.NotFound, "find artifact", "no %s is called %q in the catalogue", kind, name)
}

func (is Items) where(keep func(Item) bool) Items {
	var out Items
	for _, i := range is {
		if keep(i) {
			out = append(out, i)
		}
	}
	return out
}

package bundle

import (
	"fmt"
	"regexp"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// Versions of what is not released together with Kubernetes.
const (
	ContainerdVersion = "v2.4.2"
	RuncVersion       = "v1.5.2"
	CNIPluginsVersion = "v1.9.1"
	FlannelVersion    = "v0.26.7"
	FlannelCNIVersion = "v1.6.2-flannel1"
	HAProxyVersion    = "3.0.11"
	KubeVIPVersion    = "v1.0.3"
)

// companions are the images that kubeadm of a minor release takes by default.
// kforge names their tags in kubeadm's configuration, so that a patch release
// with other defaults does not ask for an image that no host holds.
var companions = map[string]struct{ etcd, coredns, pause string }{
	"v1.35": {"3.6.6-0", "v1.13.1", "3.10.1"},
	"v1.36": {"3.6.8-0", "v1.14.2", "3.10.2"},
	"v1.37": {"3.7.0-0", "v1.14.6", "3.10.2"},
}

var (
	architectures = []string{"amd64", "arm64"}
	versionFormat = regexp.MustCompile(`^(v1\.[0-9]+)\.[0-9]+(-[0-9A-Za-z.]+)?$`)
	both          = []string{ControlPlane, Worker}
	controlPlanes = []string{ControlPlane}
	balancers     = []string{LoadBalancer}
	virtualIPs    = []string{VirtualIP}
)

// Catalogue names every file and image of a cluster of that version
// ("v1.37.2") on that architecture. An unknown minor version or architecture is
// an error of kind unsupported.
func Catalogue(k8sVersion, arch string) (Items, error) {
	m := versionFormat.FindStringSubmatch(k8sVersion)
	if m == nil {
		return nil, diag.New(diag.Invalid, "list artifacts", "%q is not a Kubernetes version", k8sVersion).
			WithHint("write the whole version, as v1.37.2")
	}
	c, ok := companions[m[1]]
	if !ok {
		return nil, diag.New(diag.Unsupported, "list artifacts", "Kubernetes %s is not supported", k8sVersion).
			WithHint("choose a release of v1.35, v1.36 or v1.37")
	}
	if arch != architectures[0] && arch != architectures[1] {
		return nil, diag.New(diag.Unsupported, "list artifacts", "architecture %q is not supported", arch).
			WithHint("hosts must be %s", strings.Join(architectures, " or "))
	}
	file := func(name, version, url, checksum string) Item {
		return Item{Name: name, Version: version, Kind: File, Arch: arch, URL: url, Checksum: checksum, Roles: both}
	}
	image := func(name, repo, tag string, roles []string) Item {
		return Item{Name: name, Version: tag, Kind: Image, Arch: arch, Ref: repo + ":" + tag, Roles: roles}
	}
	k8sFile := func(name string) Item {
		url := fmt.Sprintf("https://dl.k8s.io/release/%s/bin/linux/%s/%s", k8sVersion, arch, name)
		return file(name, k8sVersion, url, url+".sha256")
	}
	k8sImage := func(name string, roles []string) Item {
		return image(name, "registry.k8s.io/"+name, k8sVersion, roles)
	}

	containerd := fmt.Sprintf("https://github.com/containerd/containerd/releases/download/%s/containerd-%s-linux-%s.tar.gz",
		ContainerdVersion, strings.TrimPrefix(ContainerdVersion, "v"), arch)
	runc := "https://github.com/opencontainers/runc/releases/download/" + RuncVersion
	cni := fmt.Sprintf("https://github.com/containernetworking/plugins/releases/download/%[1]s/cni-plugins-linux-%[2]s-%[1]s.tgz",
		CNIPluginsVersion, arch)

	return Items{
		k8sFile("kubeadm"),
		k8sFile("kubelet"),
		k8sFile("kubectl"),
		file("containerd", ContainerdVersion, containerd, containerd+".sha256sum"),
		file("runc", RuncVersion, runc+"/runc."+arch, runc+"/runc.sha256sum"),
		file("cni-plugins", CNIPluginsVersion, cni, cni+".sha256"),
		image("pause", "registry.k8s.io/pause", c.pause, both),
		k8sImage("kube-proxy", both),
		image("coredns", "registry.k8s.io/coredns/coredns", c.coredns, both),
		image("flannel", "ghcr.io/flannel-io/flannel", FlannelVersion, both),
		image("flannel-cni-plugin", "ghcr.io/flannel-io/flannel-cni-plugin", FlannelCNIVersion, both),
		k8sImage("kube-apiserver", controlPlanes),
		k8sImage("kube-controller-manager", controlPlanes),
		k8sImage("kube-scheduler", controlPlanes),
		image("etcd", "registry.k8s.io/etcd", c.etcd, controlPlanes),
		image("haproxy", "docker.io/library/haproxy", HAProxyVersion, balancers),
		image("kube-vip", "ghcr.io/kube-vip/kube-vip", KubeVIPVersion, virtualIPs),
	}, nil
}

// CatalogueAll joins the catalogues of several versions and architectures,
// naming what they share once.
func CatalogueAll(k8sVersions, archs []string) (Items, error) {
	var all Items
	seen := map[key]bool{}
	for _, v := range k8sVersions {
		for _, arch := range archs {
			items, err := Catalogue(v, arch)
			if err != nil {
				return nil, err
			}
			for _, i := range items {
				if !seen[keyOf(i)] {
					seen[keyOf(i)] = true
					all = append(all, i)
				}
			}
		}
	}
	return all, nil
}

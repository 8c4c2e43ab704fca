// Package node says what a Kubernetes host should hold, as resources in the
// order in which they are applied. It follows from inventory and facts alone
// and acts on nothing.
package node

import (
	"io/fs"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/templates"
)

// Paths that others name too.
const (
	CRISocket         = "unix:///run/containerd/containerd.sock"
	KubeadmBinary     = "/usr/local/bin/kubeadm"
	KubeletBinary     = "/usr/local/bin/kubelet"
	KubectlBinary     = "/usr/local/bin/kubectl"
	ContainerdBinary  = "/usr/local/bin/containerd"
	RuncBinary        = "/usr/local/sbin/runc"
	ContainerdConfig  = "/etc/containerd/config.toml"
	ContainerdDropIns = "/etc/containerd/conf.d"
	ContainerdUnit    = "/etc/systemd/system/containerd.service"
	KubeletUnit       = "/etc/systemd/system/kubelet.service"
	KubeletUnitDropIn = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
	KubeletDropIns    = "/etc/kubernetes/kubelet.conf.d"
	KubeletDropIn     = KubeletDropIns + "/10-kforge.conf"
	ResolvConf        = "/etc/kubernetes/resolv.conf"
	KubeletConf       = "/etc/kubernetes/kubelet.conf" // by which the kubelet reaches the API
)

// Artifact is a binary or an archive and the version that people call it by.
type Artifact struct {
	Blob    spec.Blob
	Version string
}

// Input is a host, what is known of it, and what is to be put on it.
type Input struct {
	Host    inventory.ResolvedHost
	Facts   *facts.Host
	Cluster *inventory.Cluster

	Containerd, Runc, CNIPlugins Artifact
	Kubelet, Kubeadm, Kubectl    Artifact
	PauseImage                   string // registry.k8s.io/pause:3.10.2
	FallbackDNS                  []string
}

// timeout scales seconds by the host's class.
func (in Input) timeout(seconds int) int { return Scale(seconds, in.Host.TimeoutScale) }

// Scale multiplies seconds by a host's time-out scale; a scale of 0 is 1.
func Scale(seconds int, scale float64) int {
	if scale <= 0 {
		return seconds
	}
	return int(float64(seconds) * scale)
}

func file(path string, mode fs.FileMode, content []byte, why string) spec.Resource {
	return spec.Resource{
		ID: "file " + path, Why: why,
		File: &spec.File{Path: path, Mode: mode, Content: content},
	}
}

func binary(path string, a Artifact, why string) spec.Resource {
	blob := a.Blob
	return spec.Resource{
		ID: "file " + path, Why: why,
		File: &spec.File{Path: path, Mode: 0o755, Blob: &blob},
	}
}

func directory(path string, mode fs.FileMode, why string) spec.Resource {
	return spec.Resource{
		ID: "directory " + path, Why: why,
		Directory: &spec.Directory{Path: path, Mode: mode},
	}
}

// render fills a template of the node folder; every one gets the header.
func render(name string, data map[string]any) ([]byte, error) {
	all := map[string]any{"Header": spec.Header}
	for key, value := range data {
		all[key] = value
	}
	return templates.Render("node/"+name+".tmpl", all)
}

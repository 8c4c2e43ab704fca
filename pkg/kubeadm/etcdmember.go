package kubeadm

import (
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
)

// Manifests that kubeadm writes, in the order in which they may start: each is
// of use only once the one before it answers.
const ManifestDir = "/etc/kubernetes/manifests"

// StaticPods are the files of ManifestDir that make a control plane.
var StaticPods = []string{"etcd.yaml", "kube-apiserver.yaml", "kube-controller-manager.yaml", "kube-scheduler.yaml"}

// EtcdMember is what the manifest of an etcd says of its member.
type EtcdMember struct {
	Name    string
	PeerURL string
	DataDir string
	Image   string
	// Clients is host:port at which the host itself reaches it.
	Clients string
}

// ParseEtcdMember reads the manifest of etcd that kubeadm wrote.
func ParseEtcdMember(manifest []byte) (EtcdMember, error) {
	const op = "read etcd.yaml"
	var pod corev1.Pod
	if err := yaml.Unmarshal(manifest, &pod); err != nil {
		return EtcdMember{}, diag.Wrap(diag.Unsupported, op, err)
	}
	if len(pod.Spec.Containers) != 1 {
		return EtcdMember{}, diag.New(diag.Unsupported, op, "it has %d containers, and kubeadm's has one", len(pod.Spec.Containers))
	}
	c := pod.Spec.Containers[0]
	flags := map[string]string{}
	for _, arg := range append(append([]string{}, c.Command...), c.Args...) {
		if name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "="); ok {
			flags[name] = value
		}
	}
	m := EtcdMember{Name: flags["name"], PeerURL: flags["initial-advertise-peer-urls"], DataDir: flags["data-dir"], Image: c.Image}
	for _, u := range strings.Split(flags["listen-client-urls"], ",") {
		if _, addr, ok := strings.Cut(u, "://"); ok && m.Clients == "" {
			if _, _, err := net.SplitHostPort(addr); err == nil {
				m.Clients = addr
			}
		}
	}
	for _, f := range [][2]string{
		{"--name", m.Name}, {"--initial-advertise-peer-urls", m.PeerURL}, {"--data-dir", m.DataDir}, {"an image", m.Image}, {"--listen-client-urls", m.Clients},
	} {
		if f[1] == "" {
			return EtcdMember{}, diag.New(diag.Unsupported, op, "it has no %s, which kubeadm always writes", f[0]).
				WithHint("restore by hand with etcdutl: this control plane was not made by kubeadm alone")
		}
	}
	return m, nil
}

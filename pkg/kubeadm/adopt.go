package kubeadm

import (
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// MadeByOthers tells whether a host is a node of a cluster already, and holds a
// container runtime or a kubelet that kforge did not put there: kubeadm made the
// node by somebody else's hand. An apply takes such a node over.
func MadeByOthers(f *facts.Host) bool {
	if !f.Kubernetes.KubeletConf || HalfDone(f) {
		return false
	}
	for _, c := range f.Conflicts {
		if strings.HasPrefix(c.Name, "kubelet") {
			return true
		}
	}
	return len(f.Containerd.Foreign) > 0
}

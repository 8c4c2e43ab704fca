package kubeadm

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/node"
)

// ProxyMode is nftables when every kernel can do it (5.13), else iptables. Both
// are named: kubeadm 1.37 warns of an unset mode, whose meaning will change.
func ProxyMode(fleet map[string]*facts.Host) string {
	for _, f := range fleet {
		if !node.KernelAtLeast(f.Kernel.Release, 5, 13) {
			return "iptables"
		}
	}
	return "nftables"
}

// ProxyConfig gives kube-proxy's settings. Where a host may not write the
// connection tracking limits (they belong to the first network namespace),
// kube-proxy would end in an error: 0 leaves them as they are.
func ProxyConfig(fleet map[string]*facts.Host) *kubeproxy.KubeProxyConfiguration {
	out := &kubeproxy.KubeProxyConfiguration{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubeproxy.SchemeGroupVersion.String(), Kind: "KubeProxyConfiguration",
		},
		Mode: kubeproxy.ProxyMode(ProxyMode(fleet)),
	}
	for _, f := range sortedFleet(fleet) {
		if !f.Kernel.ConntrackWritable {
			none := int32(0)
			out.Conntrack.MaxPerCore = &none
		}
	}
	return out
}

// Ignored names kubeadm's own checks that this host fails and may fail.
func Ignored(in Input) []string {
	// SystemVerification refuses cgroup v1 whatever the kubelet is told, and
	// wants the kernel's configuration, which containers cannot see.
	var out []string
	if in.Facts.Kernel.Cgroup == 1 && in.Host.CgroupV1 || in.Facts.OS.Container != "" {
		out = append(out, "SystemVerification")
	}
	if in.Restored {
		out = append(out, "DirAvailable--var-lib-etcd")
	}
	return out
}

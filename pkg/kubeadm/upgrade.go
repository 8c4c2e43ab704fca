package kubeadm

import (
	corev1 "k8s.io/api/core/v1"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// UpgradeID names the command that brings a host's part of the cluster to a
// version; facts name it when it was interrupted.
func UpgradeID(version string) string { return "command kubeadm upgrade " + version }

// UpgradeConfig gives the YAML document of `kubeadm upgrade apply` and `kubeadm
// upgrade node`, validated. Certificates are renewed with the components that are
// restarted anyhow, and etcd goes along, as kubeadm does by itself: both are named
// because their defaults are kubeadm's to change.
func UpgradeConfig(in Input) ([]byte, error) {
	yes := true
	doc, err := documents(&kubeadm.UpgradeConfiguration{
		TypeMeta: kind("UpgradeConfiguration"),
		Apply: kubeadm.UpgradeApplyConfiguration{
			KubernetesVersion: in.Cluster.Version, CertificateRenewal: &yes, EtcdUpgrade: &yes,
			IgnorePreflightErrors: Ignored(in), ImagePullPolicy: corev1.PullNever,
		},
		Node: kubeadm.UpgradeNodeConfiguration{
			CertificateRenewal: &yes, EtcdUpgrade: &yes,
			IgnorePreflightErrors: Ignored(in), ImagePullPolicy: corev1.PullNever,
		},
		Timeouts: timeouts(in.Host.TimeoutScale),
	})
	if err != nil {
		return nil, err
	}
	return doc, Validate(doc)
}

// Upgrade gives the command that brings a host's part of the cluster to the
// version of in.Cluster, which is that of the host's kubeadm: the cluster's
// settings with the first control plane, the static pods of every control plane,
// the kubelet's settings everywhere. It is for hosts that are not there yet, so it
// runs whatever was run before; after an interruption kubeadm goes over all again.
func Upgrade(in Input, first bool) (spec.Resource, error) {
	config, err := UpgradeConfig(in)
	if err != nil {
		return spec.Resource{}, err
	}
	argv := []string{node.KubeadmBinary, "upgrade", "node", "--config", "@{config}"}
	if first {
		argv = []string{node.KubeadmBinary, "upgrade", "apply", "--yes", "--config", "@{config}"}
	}
	return spec.Resource{
		ID: UpgradeID(in.Cluster.Version), Why: "its part of the cluster is not at " + in.Cluster.Version + " yet",
		Command: &spec.Command{
			Argv: argv, Env: []string{SearchPath},
			Inputs:  map[string]spec.Secret{"config": config},
			EachRun: true,
			// kubeadm waits five minutes for each of four components.
			TimeoutSeconds: node.Scale(1500, in.Host.TimeoutScale),
			Hint: "what kubeadm could not bring up it has put back; look at `crictl ps -a` and `journalctl -u kubelet` on the host, " +
				"then run the same again: it goes on from here",
		},
	}, nil
}

// Tag gives an image's tag, "" when it has none.
func Tag(ref string) string {
	_, tag := split(ref)
	return tag
}

// Tags gives the tags of what kubeadm runs and does not version itself.
func Tags(images []spec.Image) spec.KubeadmImages {
	etcd, _ := Image(images, "etcd")
	dns, _ := Image(images, "coredns")
	return spec.KubeadmImages{Etcd: Tag(etcd), CoreDNS: Tag(dns)}
}

// UpToDate tells whether all components that a control plane runs are of a
// version or a newer one, and its etcd of a tag where it runs one.
func UpToDate(components map[string]string, version, etcdTag string) bool {
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if inventory.CompareVersions(Tag(components[name]), version) < 0 {
			return false
		}
	}
	etcd := components["etcd"]
	return etcd == "" || inventory.CompareVersions(Tag(etcd), etcdTag) >= 0
}

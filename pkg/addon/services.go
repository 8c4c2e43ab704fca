package addon

import "kforge.dev/kforge/pkg/spec"

// Services are the workloads that every cluster runs beside its control plane.
func Services() []spec.Ready {
	return []spec.Ready{
		{Kind: "DaemonSet", Namespace: FlannelNamespace, Name: FlannelDaemonSet},
		{Kind: "DaemonSet", Namespace: "kube-system", Name: "kube-proxy"},
		{Kind: "Deployment", Namespace: "kube-system", Name: "coredns"},
	}
}

package node

import (
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Kubelet gives the binaries of Kubernetes, the kubelet's unit and its
// settings. The unit is enabled, not started: kubeadm starts it.
func Kubelet(in Input) ([]spec.Resource, error) {
	unit, err := render("kubelet.service", nil)
	if err != nil {
		return nil, err
	}
	dropIn, err := render("10-kubeadm.conf", nil)
	if err != nil {
		return nil, err
	}
	resolver, err := ChooseResolver(in.Cluster.DNSServers, in.Facts.Resolver, in.FallbackDNS)
	if err != nil {
		return nil, err
	}
	settings, err := kubeletSettings(in, resolver)
	if err != nil {
		return nil, err
	}
	out := []spec.Resource{
		binary(KubeletBinary, in.Kubelet, "kubelet "+in.Kubelet.Version),
		binary(KubeadmBinary, in.Kubeadm, "kubeadm "+in.Kubeadm.Version),
		binary(KubectlBinary, in.Kubectl, "kubectl "+in.Kubectl.Version),
		directory("/etc/kubernetes/manifests", 0o755, "static pods"),
		directory(KubeletDropIns, 0o755, "settings of your own go here, under a later name"),
	}
	if resolver.Content != nil {
		out = append(out, file(ResolvConf, 0o644, resolver.Content, resolver.Why))
	}
	return append(out,
		file(KubeletDropIn, 0o644, settings, "thresholds, resolver and limits that follow from this host"),
		file(KubeletUnit, 0o644, unit, "the kubelet runs under systemd"),
		file(KubeletUnitDropIn, 0o644, dropIn, "where kubeadm's settings are"),
		spec.Resource{
			ID: "unit kubelet.service", Why: "the kubelet comes back after a reboot",
			Unit: &spec.Unit{Name: "kubelet.service", Enabled: spec.Bool(true)},
		},
	), nil
}

// KubeletRunning gives the kubelet's unit of a host that has joined: running,
// and with its present settings.
func KubeletRunning(in Input) []spec.Resource {
	// /var/lib/kubelet/config.yaml is kubeadm's, which restarts the kubelet
	// itself when it writes it; resolv.conf is read for each pod.
	reads := []string{KubeletBinary, KubeletUnit, KubeletUnitDropIn, KubeletDropIns}
	var out []spec.Resource
	if in.followsEndpoint() {
		reads = append(reads, KubeletConf)
		out = append(out, kubeletServer(in.Cluster.Endpoint))
	}
	return append(out, spec.Resource{
		ID: "unit kubelet.service running", Why: "the host is a node",
		Unit: &spec.Unit{
			Name: "kubelet.service", State: "running",
			RestartOn:      reads,
			TimeoutSeconds: in.timeout(90),
		},
	})
}

// followsEndpoint tells whether the kubelet reaches the API by an endpoint that
// may change: kubeadm lets that of a control plane ask its own API server, and
// the address of an only one stays.
func (in Input) followsEndpoint() bool {
	switch in.Cluster.EndpointMode {
	case inventory.EndpointLocal, inventory.EndpointExternal, inventory.EndpointKubeVIP:
		return !in.Host.ControlPlane()
	}
	return false
}

// kubeletServer points a kubelet that has joined to the API as it is to be
// reached now.
func kubeletServer(endpoint string) spec.Resource {
	return spec.Resource{
		ID: "kubeconfig " + KubeletConf, Why: "the kubelet reaches the API there",
		Kubeconfig: &spec.Kubeconfig{Path: KubeletConf, Server: "https://" + endpoint},
	}
}

// Images gives one resource per image, in the order given.
func Images(images []spec.Image) []spec.Resource {
	out := make([]spec.Resource, len(images))
	for i := range images {
		image := images[i]
		out[i] = spec.Resource{ID: "image " + image.Name, Image: &image}
	}
	return out
}

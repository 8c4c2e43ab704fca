package node_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
)

func TestVirtualIP(t *testing.T) {
	t.Parallel()
	c := nodetest.HighlyAvailable("v1.37.2")
	c.EndpointMode, c.Endpoint = inventory.EndpointKubeVIP, "10.0.0.100:6443"
	in := node.Input{Host: c.Hosts[0], Facts: nodetest.Machine("10.0.0.11"), Cluster: c}
	manifest := func(first bool) (string, corev1.Pod) {
		t.Helper()
		resources, err := node.VirtualIP(in, "ghcr.io/kube-vip/kube-vip:v1.0.3", first)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		text := resources[0].File.Content
		if err := yaml.UnmarshalStrict(text, &pod); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return string(text), pod
	}
	text, pod := manifest(false)
	nodetest.Golden(t, "virtual-ip.txt", []byte(text))
	if got := pod.Spec.Volumes[0].HostPath.Path; got != "/etc/kubernetes/admin.conf" {
		t.Errorf("the pod has %s", got)
	}
	begins, one := manifest(true)
	if got := one.Spec.Volumes[0].HostPath.Path; got != "/etc/kubernetes/super-admin.conf" {
		t.Errorf("before kubeadm init the pod has %s", got)
	}
	if one.UID == pod.UID {
		t.Error("the kubelet would not see that the pod has changed")
	}
	if strings.Count(begins, "super-admin") != 1 || strings.Contains(text, "super-admin") {
		t.Errorf("super-admin.conf is named elsewhere:\n%s\n%s", begins, text)
	}

	in.Facts = nodetest.Machine("192.168.7.7")
	in.Facts.DefaultInterface = ""
	if _, err := node.VirtualIP(in, "kube-vip:1", false); diag.KindOf(err) != diag.Unsupported || diag.Hint(err) == "" {
		t.Errorf("a host without the node's address: %v", err)
	}
}

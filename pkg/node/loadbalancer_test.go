package node_test

import (
	"testing"

	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"

	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
)

func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	servers := []node.Balanced{{Name: "n1", Address: "10.0.0.11:6443"}, {Name: "n2", Address: "10.0.0.12:6443"}}
	resources, err := node.LoadBalancer("docker.io/library/haproxy:3.0.11", servers)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "load-balancer.txt", []byte(nodetest.Text(resources)))
	var pod corev1.Pod
	manifest := resources[len(resources)-1].File.Content
	if err := yaml.UnmarshalStrict(manifest, &pod); err != nil {
		t.Fatalf("%v in\n%s", err, manifest)
	}
	// The pod must be made anew when a control plane comes or goes.
	more, err := node.LoadBalancer("docker.io/library/haproxy:3.0.11", servers[:1])
	if err != nil {
		t.Fatal(err)
	}
	if string(more[len(more)-1].File.Content) == string(manifest) {
		t.Error("the pod stays as it is with other control planes")
	}
}

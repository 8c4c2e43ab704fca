package node_test

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"

	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/spec"
)

func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	servers := []node.Balanced{{Name: "n1", Address: "10.0.0.11:6443"}, {Name: "n2", Address: "10.0.0.12:6443"}}
	resources, err := node.LoadBalancer("n3", "docker.io/library/haproxy:3.0.11", servers)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "load-balancer.txt", []byte(nodetest.Text(resources)))
	manifest := func(rs []spec.Resource) (text string, pod corev1.Pod) {
		for _, r := range rs {
			if r.File != nil && r.File.Path == node.LoadBalancerManifest {
				text = string(r.File.Content)
			}
		}
		if err := yaml.UnmarshalStrict([]byte(text), &pod); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return text, pod
	}
	digest := func(rs []spec.Resource) string { return rs[len(rs)-1].HAProxy.Digest }
	// A reload is enough when a control plane comes or goes.
	more, err := node.LoadBalancer("n3", "docker.io/library/haproxy:3.0.11", servers[:1])
	if err != nil {
		t.Fatal(err)
	}
	text, pod := manifest(resources)
	if other, _ := manifest(more); other != text {
		t.Error("the pod is made anew for other control planes")
	}
	if digest(more) == digest(resources) || !strings.Contains(string(config(more)), "description "+digest(more)+"\n") {
		t.Errorf("digest %s, it was %s:\n%s", digest(more), digest(resources), config(more))
	}
	// Its identity is its own and that of its node, and changes with it.
	for _, other := range [][2]string{{"n4", "docker.io/library/haproxy:3.0.11"}, {"n3", "docker.io/library/haproxy:3.2.0"}} {
		rs, err := node.LoadBalancer(other[0], other[1], servers)
		if err != nil {
			t.Fatal(err)
		}
		if _, p := manifest(rs); p.UID == pod.UID || len(p.UID) != 36 {
			t.Errorf("%s: uid %s, and %s", other, p.UID, pod.UID)
		}
	}
}

func config(rs []spec.Resource) []byte {
	for _, r := range rs {
		if r.File != nil && r.File.Path == node.LoadBalancerConfig {
			return r.File.Content
		}
	}
	return nil
}

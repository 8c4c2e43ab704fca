package kube

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/spec"
)

const clusterConfiguration = `apiServer: {}
controlPlaneEndpoint: 10.0.0.11:6443
dns:
  imageRepository: registry.k8s.io/coredns
  imageTag: v1.14.2
etcd:
  local:
    dataDir: /var/lib/etcd
    imageTag: 3.6.8-0
kind: ClusterConfiguration
unknownToUs:
  stays: true
`

func TestKubeadmImages(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put(kubeadmConfigPath, systemMap("kubeadm-config", "ClusterConfiguration", clusterConfiguration))
	c := connect(t, s)
	w := spec.KubeWork{KubeadmImages: &spec.KubeadmImages{Etcd: "3.7.0-0", CoreDNS: "v1.14.6"}}
	planned, err := c.Plan(t.Context(), w)
	if err != nil || len(planned) != 1 || planned[0].Detail != "etcd 3.6.8-0 to 3.7.0-0, CoreDNS v1.14.2 to v1.14.6" {
		t.Fatalf("planned %+v, %v", planned, err)
	}
	if made, _, err := c.Apply(t.Context(), w, nil); err != nil || len(made) != 1 {
		t.Fatalf("made %+v, %v", made, err)
	}
	want := strings.NewReplacer("v1.14.2", "v1.14.6", "3.6.8-0", "3.7.0-0").Replace(clusterConfiguration)
	if got := s.Get(kubeadmConfigPath)["data"].(kubetest.Object); got["ClusterConfiguration"] != want || got["other"] != "stays" {
		t.Errorf("settings are\n%s", got)
	}
	if again, _, err := c.Apply(t.Context(), w, nil); err != nil || len(again) != 0 {
		t.Errorf("a second apply made %+v, %v", again, err)
	}
}

// Without tags of its own kubeadm takes those of its version; an etcd of somebody
// else has none.
func TestKubeadmImagesLeavesAlone(t *testing.T) {
	t.Parallel()
	w := spec.KubeWork{KubeadmImages: &spec.KubeadmImages{Etcd: "3.7.0-0", CoreDNS: "v1.14.6"}}
	for _, text := range []string{"dns: {}\netcd:\n  local:\n    dataDir: /x\n", "etcd:\n  external:\n    endpoints: [a]\n"} {
		s := kubetest.New(t)
		s.Put(kubeadmConfigPath, systemMap("kubeadm-config", "ClusterConfiguration", text))
		if made, _, err := connect(t, s).Apply(t.Context(), w, nil); err != nil || len(made) != 0 {
			t.Errorf("%q: made %+v, %v", text, made, err)
		}
	}
	s := kubetest.New(t)
	s.Put(kubeadmConfigPath, systemMap("kubeadm-config", "ClusterConfiguration", "dns: [odd]\n"))
	if _, _, err := connect(t, s).Apply(t.Context(), w, nil); diag.KindOf(err) != diag.Foreign {
		t.Errorf("odd settings: %v", err)
	}
}

// A node says that it is ready for a while after its kubelet was stopped.
func TestReadyWaitsForTheKubeletsVersion(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	n := node("n1", true)
	n["status"].(kubetest.Object)["nodeInfo"] = kubetest.Object{"kubeletVersion": "v1.36.3"}
	s.Put("/api/v1/nodes/n1", n)
	var said []string
	_, _, err := connect(t, s).Apply(t.Context(), spec.KubeWork{Ready: []spec.Ready{{Kind: "Node", Name: "n1", Kubelet: "v1.37.2", TimeoutSeconds: 20}}}, func(e Event) {
		if said = append(said, e.Message); len(said) == 1 {
			s.Put("/api/v1/nodes/n1", node("n1", true))
		}
	})
	if err != nil || len(said) != 2 || said[0] != "Node n1: its kubelet is v1.36.3, not yet v1.37.2" {
		t.Errorf("said %q, %v", said, err)
	}
}

package kube

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/spec"
)

func TestLooked(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c, err := Connect(s.Kubeconfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.Put("/apis/apps/v1/namespaces/kube-system/deployments/coredns", kubetest.Object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": kubetest.Object{"name": "coredns", "namespace": "kube-system"},
		"spec": kubetest.Object{"replicas": 2, "selector": kubetest.Object{"matchLabels": kubetest.Object{"a": "b"}},
			"template": kubetest.Object{"spec": kubetest.Object{"containers": []any{kubetest.Object{"image": "registry.k8s.io/coredns:v1.14.6"}}}}},
		"status": kubetest.Object{"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1},
	})
	got, err := c.Looked(t.Context(), []spec.Ready{
		{Kind: "Deployment", Namespace: "kube-system", Name: "coredns"}, {Kind: "DaemonSet", Namespace: "kube-system", Name: "kube-proxy"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []live.Object{
		{Kind: "Deployment", Namespace: "kube-system", Name: "coredns", State: "1/2 pods ready; it has no pods", Image: "registry.k8s.io/coredns:v1.14.6"},
		{Kind: "DaemonSet", Namespace: "kube-system", Name: "kube-proxy", State: "it does not exist"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if _, err := c.Looked(t.Context(), []spec.Ready{{Kind: "Comet", Name: "x"}}); err == nil {
		t.Error("there is no rule for a Comet, and nobody says so")
	}
}

func TestStaticPods(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c, err := Connect(s.Kubeconfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	put := func(name, node string, mirror bool, ready string) {
		meta := kubetest.Object{"name": name, "namespace": "kube-system"}
		if mirror {
			meta["annotations"] = kubetest.Object{"kubernetes.io/config.mirror": "x"}
		}
		s.Put("/api/v1/namespaces/kube-system/pods/"+name, kubetest.Object{
			"apiVersion": "v1", "kind": "Pod", "metadata": meta,
			"spec":   kubetest.Object{"nodeName": node, "containers": []any{kubetest.Object{"name": "c", "image": "etcd:3"}}},
			"status": kubetest.Object{"phase": "Running", "conditions": []any{kubetest.Object{"type": "Ready", "status": ready}}},
		})
	}
	put("etcd-n-2", "n-2", true, "False")
	put("etcd-n1", "n1", true, "True")
	put("kube-proxy-x", "n1", false, "True")
	got, err := c.StaticPods(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := live.StaticPod{Name: "etcd", Node: "n1", Image: "etcd:3", Ready: true, State: "ready"}
	if got[1] != want || got[0].Node != "n-2" || got[0].Ready || !strings.Contains(got[0].State, "no container has started") {
		t.Errorf("%+v", got)
	}
	s.SetReadyz(func() (int, string) { return 500, "[-]etcd failed" })
	if why, err := c.Unready(t.Context()); err != nil || why != "not ready: etcd" {
		t.Errorf("unready: %q, %v", why, err)
	}
}

package kube

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/spec"
)

const (
	kubeadmConfigPath = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
	proxyConfigPath   = "/api/v1/namespaces/kube-system/configmaps/kube-proxy"
	proxyPath         = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
)

func systemMap(name, key, text string) kubetest.Object {
	return kubetest.Object{"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": kubetest.Object{"name": name, "namespace": "kube-system"}, "data": kubetest.Object{key: text, "other": "stays"}}
}

// asKubeadm is what kubeadm init leaves.
func asKubeadm(t *testing.T) *kubetest.Server {
	t.Helper()
	s := kubetest.New(t)
	s.Put(kubeadmConfigPath, systemMap("kubeadm-config", "ClusterConfiguration",
		"apiServer:\n  certSANs:\n  - 10.0.0.11\nclusterName: lab\ncontrolPlaneEndpoint: 10.0.0.11:6443\ndns: {}\n"))
	s.Put(proxyConfigPath, systemMap("kube-proxy", "kubeconfig.conf",
		"apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority: /x\n    server: https://10.0.0.11:6443\n  name: default\n"))
	s.Put(proxyPath, kubetest.Object{"apiVersion": "apps/v1", "kind": "DaemonSet",
		"metadata": kubetest.Object{"name": "kube-proxy", "namespace": "kube-system"},
		"spec":     kubetest.Object{"template": kubetest.Object{"metadata": kubetest.Object{}}}})
	return s
}

func names(changes []spec.Change) (out []string) {
	for _, c := range changes {
		out = append(out, string(c.Action)+" "+c.Resource)
	}
	return out
}

func TestEndpointOfARunningCluster(t *testing.T) {
	t.Parallel()
	s := asKubeadm(t)
	c := connect(t, s)
	set := func(endpoint string) []string {
		t.Helper()
		changes, _, err := c.Apply(t.Context(), spec.KubeWork{Endpoint: endpoint}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return names(changes)
	}
	if got := set("10.0.0.11:6443"); got != nil {
		t.Errorf("what kubeadm wrote is changed: %v", got)
	}
	planned, err := c.Plan(t.Context(), spec.KubeWork{Endpoint: "127.0.0.1:7443"})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"update ConfigMap kube-system/kubeadm-config", "update ConfigMap kube-system/kube-proxy", "restart DaemonSet kube-system/kube-proxy"}
	if d := cmp.Diff(all, names(planned)); d != "" || planned[0].Detail != "endpoint 10.0.0.11:6443 to 127.0.0.1:7443" {
		t.Errorf("planned %+v", planned)
	}
	if d := cmp.Diff(all, set("127.0.0.1:7443")); d != "" {
		t.Errorf("applied (-want +got):\n%s", d)
	}
	data := func(path, key string) string {
		return s.Get(path)["data"].(kubetest.Object)[key].(string)
	}
	if got := data(kubeadmConfigPath, "ClusterConfiguration"); !strings.Contains(got, "\ncontrolPlaneEndpoint: 127.0.0.1:7443\ndns") {
		t.Errorf("kubeadm's settings:\n%s", got)
	}
	if got := data(proxyConfigPath, "kubeconfig.conf"); !strings.Contains(got, "    server: https://127.0.0.1:7443\n  name") || data(proxyConfigPath, "other") != "stays" {
		t.Errorf("kube-proxy's settings:\n%s", got)
	}
	if got := set("127.0.0.1:7443"); got != nil {
		t.Errorf("again: %v", got)
	}
}

// A run that was cut after kube-proxy's settings changed and before its pods were
// told.
func TestEndpointCutBeforeTheRoll(t *testing.T) {
	t.Parallel()
	s := asKubeadm(t)
	c := connect(t, s)
	proxy := s.Get(proxyPath)
	if _, _, err := c.Apply(t.Context(), spec.KubeWork{Endpoint: "127.0.0.1:7443"}, nil); err != nil {
		t.Fatal(err)
	}
	s.Put(proxyPath, proxy)
	roll := []string{"restart DaemonSet kube-system/kube-proxy"}
	planned, err := c.Plan(t.Context(), spec.KubeWork{Endpoint: "127.0.0.1:7443"})
	if d := cmp.Diff(roll, names(planned)); d != "" || err != nil {
		t.Errorf("planned %v: %s", err, d)
	}
	changes, _, err := c.Apply(t.Context(), spec.KubeWork{Endpoint: "127.0.0.1:7443"}, nil)
	if d := cmp.Diff(roll, names(changes)); d != "" || err != nil {
		t.Errorf("applied %v: %s", err, d)
	}
}

func TestEndpointOfSettingsThatAreNotKubeadms(t *testing.T) {
	t.Parallel()
	s := asKubeadm(t)
	s.Put(proxyConfigPath, systemMap("kube-proxy", "kubeconfig.conf", "clusters: []\n"))
	_, err := connect(t, s).Plan(t.Context(), spec.KubeWork{Endpoint: "127.0.0.1:7443"})
	if diag.KindOf(err) != diag.Foreign || !strings.Contains(diag.Hint(err), "edit configmap kube-proxy") {
		t.Errorf("%v, hint %q", err, diag.Hint(err))
	}
}

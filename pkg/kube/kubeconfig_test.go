package kube

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

const adminConf = `apiVersion: v1
kind: Config
clusters:
- {name: kubernetes, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: Q0E=}}
contexts:
- {name: kubernetes-admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}
current-context: kubernetes-admin@kubernetes
users:
- {name: kubernetes-admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
`

func TestAdminKubeconfig(t *testing.T) {
	t.Parallel()
	const want = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://api.example.org:6443
  name: lab
contexts:
- context:
    cluster: lab
    user: lab
  name: lab
current-context: lab
kind: Config
users:
- name: lab
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
`
	for _, server := range []string{"api.example.org:6443", "https://api.example.org:6443"} {
		got, err := AdminKubeconfig([]byte(adminConf), server, "lab")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Errorf("kubeconfig (-want +got):\n%s", d)
		}
	}
	if _, err := AdminKubeconfig([]byte("apiVersion: v1\nkind: Config\n"), "a:1", "lab"); diag.KindOf(err) != diag.Invalid {
		t.Errorf("empty kubeconfig: %v", err)
	}
}

func TestRandomToken(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^[a-z0-9]{16}$`)
	a, b := randomToken(16), randomToken(16)
	if !format.MatchString(a) || !format.MatchString(b) || a == b {
		t.Errorf("tokens are %q and %q", a, b)
	}
}

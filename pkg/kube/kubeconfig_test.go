package kube

import (
	"encoding/base64"
	"encoding/pem"
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

// caDER is a self-signed P-256 certificate; the hash was computed with
// openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum.
const (
	caDER  = "MIIBfjCCASWgAwIBAgIUbjC9/H2ku3huirFnKO357+6mJYwwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMjMxNjIwMTZaFw0zNjExMjAxNjIwMTZaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASDCncWraORPScmiSq0LEKM+ihlFK56bofhFxvYo1iKK2fCCeJWTDY2xBZ5Adlo+y2eFMcK0t1wpJ3ZsNsGgNcZo1MwUTAdBgNVHQ4EFgQU95ej5htx9B4vSRksz6HSxa5OLYUwHwYDVR0jBBgwFoAU95ej5htx9B4vSRksz6HSxa5OLYUwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiAZrg6LdXNDcCnKK+8+5QArjiv1we9Ewbqy3ttcFV/nMQIgZe3q24SDueYTyZ+S8Nkh8FzKfrMKfx8+VJ5FQcC9kKY="
	caWant = "sha256:9b853793f742f08830718e458466b04c128d7871c30ea28e8ccf0008ab691037"
)

func TestCAHash(t *testing.T) {
	t.Parallel()
	der, err := base64.StdEncoding.DecodeString(caDER)
	if err != nil {
		t.Fatal(err)
	}
	got, err := caHash(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err != nil || got != caWant {
		t.Errorf("caHash = %q, %v, want %q", got, err, caWant)
	}
	if _, err := caHash(nil); diag.KindOf(err) != diag.Invalid {
		t.Errorf("no CA: %v", err)
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

package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

func TestEnd(t *testing.T) {
	t.Parallel()
	want := time.Date(2027, 11, 25, 12, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: want.AddDate(-1, 0, 0), NotAfter: want}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("secret")})
	conf := "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    client-certificate-data: " + base64.StdEncoding.EncodeToString(cert) + "\n"
	for name, content := range map[string]string{
		"certificate": string(cert), "kubelet's file": string(cert) + string(private), "key first": string(private) + string(cert), "kubeconfig": conf,
	} {
		if got, err := End([]byte(content)); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, tc := range map[string]struct {
		content string
		kind    diag.Kind
	}{
		"nothing":     {"", diag.NotFound},
		"only a key":  {string(private), diag.NotFound},
		"token":       {"users: [{name: a, user: {token: x}}]", diag.NotFound},
		"not yaml":    {"users: [", diag.Invalid},
		"a cut block": {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", diag.Invalid},
	} {
		if got, err := End([]byte(tc.content)); diag.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, %v, want kind %s", name, got, err, tc.kind)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret", name)
		}
	}
}

func TestFilesOfNodes(t *testing.T) {
	t.Parallel()
	if w, c := len(Of(false)), len(Of(true)); w != 1 || c != 14 {
		t.Errorf("%d files of a worker, %d of a control plane", w, c)
	}
}

package resource_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

const kubeletConf = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://10.0.0.11:6443
  name: lab
users:
- name: default
  user:
    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem
`

func TestKubeconfigGetsAnotherServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const path = "/etc/kubernetes/kubelet.conf"
	r := spec.Resource{ID: "kubeconfig", Kubeconfig: &spec.Kubeconfig{Path: path, Server: "https://127.0.0.1:7443"}}
	f.settled(t, r) // before kubeadm has written it, there is nothing to do

	f.write(t, path, kubeletConf)
	at := filepath.Join(f.Root, path)
	if err := os.Chmod(at, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.converge(t, r); len(got) != 1 || got[0].Detail != "server https://10.0.0.11:6443 to https://127.0.0.1:7443" {
		t.Errorf("changes = %+v", got)
	}
	if got, want := f.ReadFile(path), strings.Replace(kubeletConf, "10.0.0.11:6443", "127.0.0.1:7443", 1); got != want {
		t.Errorf("the file became\n%s", got)
	}
	if fi, err := os.Stat(at); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}

	f.write(t, path, kubeletConf+strings.Replace(kubeletConf, "lab", "other", 1))
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Foreign)
	r.Kubeconfig.Server = "https://a b"
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Invalid)
}

package kube

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
)

const otherConfig = `apiVersion: v1
kind: Config
current-context: other
clusters:
- {name: other, cluster: {server: "https://other:6443", certificate-authority: rel/ca.crt}}
users:
- {name: other, user: {token: t}}
contexts:
- {name: other, context: {cluster: other, user: other, namespace: app}}
`

func TestMergeKubeconfig(t *testing.T) {
	t.Parallel()
	admin := kubetest.New(t).Kubeconfig()
	lab := Access{Context: "lab", Server: "https://10.0.0.1:6443"}

	// Into nothing: the context is the current one, and the same again is nothing.
	out, replaced, err := MergeKubeconfig(nil, admin, lab)
	if err != nil || replaced != nil {
		t.Fatal(replaced, err)
	}
	c, err := clientcmd.Load(out)
	if err != nil || c.CurrentContext != "lab" || c.Clusters["lab"].Server != lab.Server || c.AuthInfos["lab"].Token != "admin" {
		t.Fatalf("%v\n%s", err, out)
	}
	again, replaced, err := MergeKubeconfig(out, admin, lab)
	if err != nil || replaced != nil || string(again) != string(out) {
		t.Errorf("the same again: %q %v\n%s", replaced, err, again)
	}

	// Beside others: they stay, with their current context and relative paths.
	out, replaced, err = MergeKubeconfig([]byte(otherConfig), admin, lab)
	if err != nil || replaced != nil {
		t.Fatal(replaced, err)
	}
	if c, err = clientcmd.Load(out); err != nil || c.CurrentContext != "other" || c.Contexts["other"].Namespace != "app" ||
		c.Clusters["other"].CertificateAuthority != "rel/ca.crt" || c.Contexts["lab"] == nil {
		t.Errorf("beside others: %v\n%s", err, out)
	}

	// What would be lost is told; the namespace that somebody chose stays.
	mine := lab
	mine.Context, mine.Use = "other", true
	out, replaced, err = MergeKubeconfig([]byte(otherConfig), admin, mine)
	if err != nil || strings.Join(replaced, ";") != "cluster other at https://other:6443;user other" {
		t.Errorf("over another: %q %v", replaced, err)
	}
	if c, err = clientcmd.Load(out); err != nil || c.Contexts["other"].Namespace != "app" || c.Clusters["other"].Server != lab.Server {
		t.Errorf("over another: %v\n%s", err, out)
	}

	// A tunnel's end has another name than the certificate.
	out, _, err = MergeKubeconfig(nil, admin, Access{Context: "t", Server: "https://127.0.0.1:1", TLSName: "kubernetes"})
	if c, lerr := clientcmd.Load(out); err != nil || lerr != nil || c.Clusters["t"].TLSServerName != "kubernetes" {
		t.Errorf("tunnel: %v %v\n%s", err, lerr, out)
	}

	if _, _, err := MergeKubeconfig([]byte("{"), admin, lab); diag.KindOf(err) != diag.Invalid {
		t.Errorf("a damaged file: %v", err)
	}
}

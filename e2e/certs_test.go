//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/run"
)

// certificates wants all of a new cluster's certificates to be well, and each
// planted difference to be found; all is as before after it.
func (k *kforge) certificates(ctx context.Context, t *testing.T, lab *site.Lab) {
	status := func(wantCode int, want ...string) {
		t.Helper()
		r := k.run(ctx, t, "certs", "status", k.inventory)
		for _, text := range want {
			if !strings.Contains(r.stdout, text) {
				t.Errorf("it does not tell of %q", text)
			}
		}
		if r.code != wantCode || t.Failed() {
			t.Errorf("certs status ended with %d, want %d:\n%s%s", r.code, wantCode, r.stdout, r.stderr)
		}
	}
	n1, n3 := lab.Hosts[0], lab.Hosts[2]
	status(0, "all 24 certificates of lab are well", "served at 127.0.0.1:2379", "lab.kubeconfig", "kubelet-client-current.pem")

	// The API server cannot use it with its key, and goes on with the one that it has.
	shell(ctx, t, n1, "cd /etc/kubernetes/pki; cp -p apiserver.crt /run/apiserver.crt; cat apiserver-kubelet-client.crt >apiserver.crt")
	status(1, "n1: kube-apiserver serves the certificate", "n1: certificate apiserver is not for 10.88.17.11, 127.0.0.1")
	shell(ctx, t, n1, "cat /run/apiserver.crt >/etc/kubernetes/pki/apiserver.crt; rm /run/apiserver.crt")

	shell(ctx, t, n3, `cp -p /etc/kubernetes/kubelet.conf /run/kubelet.conf
sed -i "s|client-certificate: .*|client-certificate-data: $(base64 -w0 /var/lib/kubelet/pki/kubelet-client-current.pem)|" /etc/kubernetes/kubelet.conf`)
	status(1, "n3: the kubelet's certificate is inside /etc/kubernetes/kubelet.conf")
	shell(ctx, t, n3, "cat /run/kubelet.conf >/etc/kubernetes/kubelet.conf; rm /run/kubelet.conf")

	if r := k.run(ctx, t, "certs", "status", k.inventory, "--within", "9000h"); r.code != 2 || !strings.Contains(r.stdout, "certificate apiserver ends in 36") {
		t.Errorf("certs status --within ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	status(0)
}

// serials gives those of all certificates, by host, name and place.
func (k *kforge) serials(ctx context.Context, t *testing.T) map[string]string {
	t.Helper()
	r := k.run(ctx, t, "certs", "status", k.inventory, "-o", "json")
	var v run.CertsView
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil || r.code != 0 && r.code != 2 { // short-lived ones end soon
		t.Fatalf("certs status ended with %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	out := map[string]string{}
	for _, c := range v.Certificates {
		if !c.CA && !strings.HasPrefix(c.Name, "kubelet") && !strings.HasSuffix(c.Name, ".kubeconfig") {
			out[c.Host+" "+c.Name+" "+c.Address] = c.Serial
		}
	}
	return out
}

// renewal renews all certificates of a cluster of one control plane, first with a
// kubeadm that fails when it has made them.
func (k *kforge) renewal(ctx context.Context, t *testing.T, lab *site.Lab) {
	before := k.serials(ctx, t)
	shell(ctx, t, lab.Hosts[0], `cd /usr/local/bin && mv kubeadm kubeadm.kept
printf '#!/bin/sh\ncase "$*" in *"renew all"*) kubeadm.kept "$@"; echo planted; exit 1;; esac\nexec kubeadm.kept "$@"\n' >kubeadm
chmod 755 kubeadm`)
	r := k.run(ctx, t, "certs", "rotate", k.inventory, "--force", "--yes")
	shell(ctx, t, lab.Hosts[0], "cd /usr/local/bin && mv kubeadm.kept kubeadm")
	if r.code == 0 || !strings.Contains(r.stderr, "planted") || !strings.Contains(r.stderr, "what was there before is there again") {
		t.Errorf("certs rotate with a kubeadm that fails ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	for name, serial := range k.serials(ctx, t) {
		if before[name] != serial {
			t.Errorf("rolled back, %s: %s before and %s after", name, before[name], serial)
		}
	}

	if r := k.run(ctx, t, "certs", "rotate", k.inventory, "--force", "--yes"); r.code != 0 {
		t.Fatalf("certs rotate ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	for name, serial := range k.serials(ctx, t) {
		if before[name] == "" || before[name] == serial {
			t.Errorf("%s: %s before and %s after", name, before[name], serial)
		}
	}
}

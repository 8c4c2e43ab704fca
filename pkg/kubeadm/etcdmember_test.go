package kubeadm

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

const etcdManifest = `apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system}
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.11:2379
    - --data-dir=/var/lib/etcd
    - --initial-advertise-peer-urls=https://10.0.0.11:2380
    - --initial-cluster=n1=https://10.0.0.11:2380
    - --listen-client-urls=https://127.0.0.1:2379,https://10.0.0.11:2379
    - --name=n1
    image: registry.k8s.io/etcd:3.7.0-0
    name: etcd
`

func TestParseEtcdMember(t *testing.T) {
	t.Parallel()
	got, err := ParseEtcdMember([]byte(etcdManifest))
	want := EtcdMember{Name: "n1", PeerURL: "https://10.0.0.11:2380", DataDir: "/var/lib/etcd", Image: "registry.k8s.io/etcd:3.7.0-0", Clients: "127.0.0.1:2379"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("ParseEtcdMember: %v\n%s", err, diff)
	}
	for change, says := range map[string]string{
		"    - --name=n1\n": "it has no --name",
		"    - --initial-advertise-peer-urls=https://10.0.0.11:2380\n": "it has no --initial-advertise-peer-urls",
		"  - command:": "yaml",
	} {
		_, err := ParseEtcdMember([]byte(strings.Replace(etcdManifest, change, "", 1)))
		if diag.KindOf(err) != diag.Unsupported || !strings.Contains(err.Error(), says) {
			t.Errorf("without %q: %v", change, err)
		}
	}
}

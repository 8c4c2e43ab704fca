package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/kube/kubetest"
)

func TestLocalVolumes(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	for _, n := range []string{"n2", "n3"} {
		s.Put("/api/v1/nodes/"+n, node(n, true))
	}
	volume := func(name, phase, claim string, spec kubetest.Object) {
		if claim != "" {
			spec["claimRef"] = kubetest.Object{"namespace": "default", "name": claim}
		}
		s.Put("/api/v1/persistentvolumes/"+name, kubetest.Object{"apiVersion": "v1", "kind": "PersistentVolume",
			"metadata": kubetest.Object{"name": name}, "spec": spec, "status": kubetest.Object{"phase": phase}})
	}
	on := func(nodes ...any) kubetest.Object {
		return kubetest.Object{"local": kubetest.Object{"path": "/disk"}, "nodeAffinity": kubetest.Object{"required": kubetest.Object{"nodeSelectorTerms": []any{
			kubetest.Object{"matchExpressions": []any{kubetest.Object{"key": "kubernetes.io/hostname", "operator": "In", "values": nodes}}}}}}}
	}
	use := func(pod, owner, node, claim string, ready string) {
		putPod(s, pod, owner, func(o kubetest.Object) {
			o["spec"] = kubetest.Object{"nodeName": node, "volumes": []any{kubetest.Object{"name": "d", "persistentVolumeClaim": kubetest.Object{"claimName": claim}}}}
			o["status"] = kubetest.Object{"conditions": []any{kubetest.Object{"type": "Ready", "status": ready}}}
		})
	}
	volume("alone", "Bound", "alone", on("n2"))                                                   // nobody uses it now
	volume("db-0", "Bound", "db-0", on("n2"))                                                     // a replica is on n3
	volume("db-1", "Bound", "db-1", on("n3"))                                                     // elsewhere
	volume("both", "Bound", "both", on("n2", "n3"))                                               // n3 can mount it
	volume("free", "Available", "", on("n2"))                                                     // holds nothing of anybody
	volume("nfs", "Bound", "nfs", kubetest.Object{"nfs": kubetest.Object{"server": "s"}})         // over the network
	volume("path", "Bound", "path", kubetest.Object{"hostPath": kubetest.Object{"path": "/d"}})   // of a pod on n2
	volume("path3", "Bound", "path3", kubetest.Object{"hostPath": kubetest.Object{"path": "/d"}}) // of a pod on n3
	volume("cache-0", "Bound", "cache-0", on("n2"))                                               // its replica is not ready
	use("db-0", "StatefulSet", "n2", "db-0", "True")
	use("db-1", "StatefulSet", "n3", "db-1", "True")
	use("path", "ReplicaSet", "n2", "path", "True")
	use("path3", "DaemonSet", "n3", "path3", "True")
	use("cache-0", "Cache", "n2", "cache-0", "True")
	use("cache-1", "Cache", "n3", "nfs", "False")

	got, err := connect(t, s).LocalVolumes(t.Context(), "n2")
	want := []LocalVolume{
		{"alone", "default/alone", false}, {"cache-0", "default/cache-0", false},
		{"db-0", "default/db-0", true}, {"path", "default/path", false},
	}
	sorted := map[string]LocalVolume{}
	for _, v := range got { // the list comes in no order
		sorted[v.Name] = v
	}
	got = nil
	for _, v := range want {
		if have, ok := sorted[v.Name]; ok {
			got = append(got, have)
		}
		delete(sorted, v.Name)
	}
	if d := cmp.Diff(want, got); d != "" || err != nil || len(sorted) > 0 {
		t.Errorf("%v, too many %v (-want +got):\n%s", err, sorted, d)
	}
}

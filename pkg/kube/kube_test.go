package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/spec"
)

func connect(t *testing.T, s *kubetest.Server) *Cluster {
	t.Helper()
	c, err := Connect(s.Kubeconfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.pace = 10 * time.Millisecond
	t.Cleanup(c.Close)
	return c
}

func node(name string, ready bool, taints ...any) kubetest.Object {
	status := "False"
	if ready {
		status = "True"
	}
	return kubetest.Object{
		"apiVersion": "v1", "kind": "Node",
		"metadata": kubetest.Object{"name": name, "labels": kubetest.Object{"kubernetes.io/hostname": name}},
		"spec":     kubetest.Object{"taints": taints},
		"status": kubetest.Object{
			"nodeInfo": kubetest.Object{"kubeletVersion": "v1.37.2"},
			"conditions": []any{kubetest.Object{"type": "Ready", "status": status,
				"reason": "KubeletNotReady", "message": "cni plugin not initialized"}},
		},
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put("/api/v1/nodes/n2", node("n2", false, kubetest.Object{"key": "a", "effect": "NoSchedule"}))
	n1 := node("n1", true)
	n1["status"].(kubetest.Object)["addresses"] = []any{
		kubetest.Object{"type": "Hostname", "address": "n1"}, kubetest.Object{"type": "InternalIP", "address": "10.0.0.1"}}
	s.Put("/api/v1/nodes/n1", n1)
	s.Put(kubeadmConfigPath, systemMap("kubeadm-config", "ClusterConfiguration",
		"networking:\n  dnsDomain: cluster.local\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n"))
	got, err := connect(t, s).Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := &Live{Version: "v1.37.2", Networks: live.Networks{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", DNSDomain: "cluster.local"}, Nodes: []live.Node{
		{Name: "n1", Ready: true, Address: "10.0.0.1", Kubelet: "v1.37.2", Labels: map[string]string{"kubernetes.io/hostname": "n1"}},
		{Name: "n2", Why: "Ready is False: KubeletNotReady: cni plugin not initialized", Kubelet: "v1.37.2", Labels: map[string]string{"kubernetes.io/hostname": "n2"},
			Taints: []live.Taint{{Key: "a", Effect: "NoSchedule"}}},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Live (-want +got):\n%s", d)
	}
	if n, ok := got.Node("n2"); !ok || n.Ready {
		t.Errorf("Node(n2) = %v, %v", n, ok)
	}
}

const manifests = `
# a comment alone
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-flannel, creationTimestamp: null}
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: kube-flannel}
data: {password: aHVudGVyMg==}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: flannel, namespace: kube-flannel}
spec: {template: {spec: {hostNetwork: true}}}
status: {numberReady: 3}
`

func TestPlanChangesNothingAndApplyTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	w := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(manifests), Why: "pods need a network"}}}
	paths := s.Paths()
	plan, err := c.Plan(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(paths, s.Paths()); d != "" || len(s.Mutations()) != 0 {
		t.Errorf("Plan changed something: %v\n%s", s.Mutations(), d)
	}
	type row struct {
		Resource string
		Action   spec.Action
		Pending  string
	}
	var got []row
	for _, ch := range plan {
		got = append(got, row{ch.Resource, ch.Action, ch.Pending})
		if strings.Contains(ch.Diff, "aHVudGVyMg") {
			t.Errorf("the plan shows a secret:\n%s", ch.Diff)
		}
	}
	want := []row{
		{"Namespace kube-flannel", spec.Create, ""},
		{"Secret kube-flannel/s", spec.Create, "namespace kube-flannel does not exist yet"},
		{"DaemonSet kube-flannel/flannel", spec.Create, "namespace kube-flannel does not exist yet"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Plan (-want +got):\n%s", d)
	}

	var said []string
	changes, values, err := c.Apply(t.Context(), w, func(e Event) { said = append(said, e.Message) })
	if err != nil {
		t.Fatal(err)
	}
	if len(changes) != 3 || values != nil || len(s.Mutations()) != 3 {
		t.Errorf("changes %v, values %v, mutations %v", changes, values, s.Mutations())
	}
	if said[0] != "created Namespace kube-flannel" {
		t.Errorf("events: %q", said)
	}
	again, err := c.Plan(t.Context(), w)
	if err != nil || len(again) != 0 {
		t.Errorf("plan after apply: %v, %v", again, err)
	}
	if changes, _, err = c.Apply(t.Context(), w, nil); err != nil || len(changes) != 0 || len(s.Mutations()) != 3 {
		t.Errorf("second apply: %v, %v, mutations %v", changes, err, s.Mutations())
	}
}

func TestPlanShowsUpdateAsDiff(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	work := func(version, password string) spec.KubeWork {
		m := `
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {version: ` + version + `}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {password: ` + password + `, user: YWRtaW4=}
`
		return spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(m)}}}
	}
	if _, _, err := c.Apply(t.Context(), work("one", "b25l"), nil); err != nil {
		t.Fatal(err)
	}
	plan, err := c.Plan(t.Context(), work("two", "dHdv"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, ch := range plan {
		fmt.Fprintf(&got, "%s %s\n%s", ch.Action, ch.Resource, ch.Diff)
	}
	want := `update ConfigMap default/c
--- live
+++ kforge
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  version: one
+  version: two
 kind: ConfigMap
 metadata:
   name: c
update Secret default/s
--- live
+++ kforge
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  password: (sensitive)
+  password: (sensitive) changed
   user: (sensitive)
 kind: Secret
 metadata:
`
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Errorf("diff (-want +got):\n%s", d)
	}
}

const labels = `
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kforge.dev/class: gpu}}
spec: {taints: [{key: gpu, value: "yes", effect: NoSchedule}]}
`

func TestMergeKeepsWhatOthersPutOnANode(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	w := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(labels), Merge: true}}}

	plan, err := c.Plan(t.Context(), w)
	if err != nil || len(plan) != 1 || plan[0].Pending != "node n1 has not joined yet" {
		t.Errorf("plan without the node: %v, %v", plan, err)
	}
	if _, _, err := c.Apply(t.Context(), w, nil); diag.KindOf(err) != diag.NotFound || diag.Hint(err) == "" {
		t.Errorf("apply without the node: %v", err)
	}
	if s.Get("/api/v1/nodes/n1") != nil {
		t.Error("the node was created")
	}

	s.Put("/api/v1/nodes/n1", node("n1", true, kubetest.Object{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}))
	for range 2 {
		if _, _, err := c.Apply(t.Context(), w, nil); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"PATCH /api/v1/nodes/n1", "PATCH /api/v1/nodes/n1"} // labels and taints, once
	if d := cmp.Diff(want, s.Mutations()); d != "" {
		t.Errorf("mutations (-want +got):\n%s", d)
	}
	state, err := c.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := state.Nodes[0]
	if n.Labels["kforge.dev/class"] != "gpu" || n.Labels["kubernetes.io/hostname"] != "n1" {
		t.Errorf("labels are %v", n.Labels)
	}
	taints := []live.Taint{
		{Key: "node.kubernetes.io/disk-pressure", Effect: "NoSchedule"},
		{Key: "gpu", Value: "yes", Effect: "NoSchedule"},
	}
	if d := cmp.Diff(taints, n.Taints); d != "" {
		t.Errorf("taints (-want +got):\n%s", d)
	}
}

// labelsGone is what is left of labels when the inventory names none any more.
const labelsGone = `
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {}}
spec: {taints: []}
`

// What kforge gave a node goes when it is no longer named; what others gave it,
// and the taints of a manifest that says nothing of them, stay.
func TestMergeTakesAwayWhatKforgeGaveANode(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	foreign := kubetest.Object{"key": "maintenance", "effect": "NoExecute"}
	s.Put("/api/v1/nodes/n1", node("n1", true, foreign,
		kubetest.Object{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}))
	apply := func(manifest string) live.Node {
		t.Helper()
		w := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(manifest), Merge: true}}}
		plan, err := c.Plan(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		changes, _, err := c.Apply(t.Context(), w, nil)
		if err != nil || cmp.Diff(plan, changes) != "" {
			t.Fatalf("apply: %v\n%s", err, cmp.Diff(plan, changes))
		}
		if again, err := c.Plan(t.Context(), w); err != nil || len(again) != 0 {
			t.Errorf("a second plan has %v, %v", again, err)
		}
		state, err := c.Live(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return state.Nodes[0]
	}
	names := func(n live.Node) (out []string) {
		for _, t := range n.Taints {
			out = append(out, t.Key+":"+t.Effect)
		}
		return out
	}
	n := apply(labels)
	if d := cmp.Diff([]string{"maintenance:NoExecute", "gpu:NoSchedule"}, names(n)); d != "" {
		t.Errorf("taints (-want +got):\n%s", d)
	}
	n = apply("apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {kforge.dev/class: disk}}\n")
	if d := cmp.Diff([]string{"maintenance:NoExecute", "gpu:NoSchedule"}, names(n)); d != "" || n.Labels["kforge.dev/class"] != "disk" {
		t.Errorf("labels %v, taints (-want +got):\n%s", n.Labels, d)
	}
	n = apply(labelsGone)
	if d := cmp.Diff([]string{"maintenance:NoExecute"}, names(n)); d != "" {
		t.Errorf("taints (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"kubernetes.io/hostname": "n1"}, n.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if meta := s.Get("/api/v1/nodes/n1")["metadata"].(kubetest.Object); len(meta["annotations"].(kubetest.Object)) != 0 {
		t.Errorf("annotations are left: %v", meta["annotations"])
	}
	before := s.Mutations()
	apply(labelsGone)
	if d := cmp.Diff(before, s.Mutations()); d != "" {
		t.Errorf("nothing was to do, and something was sent:\n%s", d)
	}
}

func TestForgetNodes(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	s.Put("/api/v1/nodes/gone", node("gone", false))
	w := spec.KubeWork{ForgetNodes: []string{"gone", "never-was"}}
	for n, want := range []int{1, 0} {
		plan, err := c.Plan(t.Context(), w)
		if err != nil || len(plan) != want {
			t.Errorf("plan %d: %v, %v", n, plan, err)
		}
		changes, _, err := c.Apply(t.Context(), w, nil)
		if err != nil || len(changes) != want {
			t.Errorf("apply %d: %v, %v", n, changes, err)
		}
	}
}

func TestCustomKindsInOneWork(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	const object = `
apiVersion: example.org/v1
kind: Widget
metadata: {name: w}
`
	alone := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(object)}}}
	if _, _, err := c.Apply(t.Context(), alone, nil); diag.KindOf(err) != diag.Unsupported {
		t.Errorf("unknown kind: %v", err)
	}
	w := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions: [{name: v1, served: true, storage: true}]
`)}, alone.Objects[0]}}
	plan, err := c.Plan(t.Context(), w)
	if err != nil || len(plan) != 2 || plan[1].Pending == "" {
		t.Errorf("plan: %v, %v", plan, err)
	}
	if changes, _, err := c.Apply(t.Context(), w, nil); err != nil || len(changes) != 2 {
		t.Errorf("apply: %v, %v", changes, err)
	}
	if s.Get("/apis/example.org/v1/namespaces/default/widgets/w") == nil {
		t.Error("the object is not there")
	}
}

func TestJoinToken(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	w := spec.KubeWork{JoinToken: &spec.JoinToken{TTLSeconds: 600, Description: "for new hosts"}}
	plan, err := c.Plan(t.Context(), w)
	if err != nil || len(plan) != 1 || plan[0].Detail != "valid for 10m0s" {
		t.Errorf("plan: %v, %v", plan, err)
	}
	changes, values, err := c.Apply(t.Context(), w, nil)
	if err != nil || len(changes) != 1 {
		t.Fatalf("apply: %v, %v", changes, err)
	}
	id, secret, _ := strings.Cut(values[spec.ValueJoinToken], ".")
	if len(id) != 6 || len(secret) != 16 {
		t.Errorf("token is %q", values[spec.ValueJoinToken])
	}
	if strings.Contains(fmt.Sprint(changes), secret) {
		t.Error("the change shows the secret")
	}
	object := s.Get("/api/v1/namespaces/kube-system/secrets/bootstrap-token-" + id)
	if object["type"] != "bootstrap.kubernetes.io/token" {
		t.Fatalf("secret is %v", object)
	}
	data := map[string]string{}
	for k, v := range object["data"].(kubetest.Object) {
		raw, err := base64.StdEncoding.DecodeString(v.(string))
		if err != nil {
			t.Fatal(err)
		}
		data[k] = string(raw)
	}
	expires, err := time.Parse(time.RFC3339, data["expiration"])
	if left := time.Until(expires); err != nil || left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("expiration is %q", data["expiration"])
	}
	delete(data, "expiration")
	want := map[string]string{
		"token-id": id, "token-secret": secret, "description": "for new hosts",
		"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true",
		"auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
	}
	if d := cmp.Diff(want, data); d != "" {
		t.Errorf("data (-want +got):\n%s", d)
	}
	_, _, err = currentContext([]byte(values[spec.ValueClusterInfo]))
	if err == nil {
		t.Error("cluster-info names a user")
	}
	if info := values[spec.ValueClusterInfo]; !strings.Contains(info, s.URL) || !strings.Contains(info, base64.StdEncoding.EncodeToString(s.CA())) {
		t.Errorf("cluster-info is\n%s", info)
	}
	if got := slices.Sorted(maps.Keys(values)); len(got) != 2 {
		t.Errorf("values are %v", got)
	}
}

func TestDialerAndWarnings(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	var dialled atomic.Int32
	c, err := Connect(s.Kubeconfig(), func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.SetWarning("this version is deprecated")
	var said []string
	w := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n")}}}
	if _, _, err := c.Apply(t.Context(), w, func(e Event) { said = append(said, e.Message) }); err != nil {
		t.Fatal(err)
	}
	if dialled.Load() == 0 {
		t.Error("the dialer was not used")
	}
	if !slices.Contains(said, "the API server warns: this version is deprecated") {
		t.Errorf("events are %q", said)
	}
}

func TestErrorsHaveKinds(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	for name, manifest := range map[string]string{
		"no YAML": "{", "no name": "apiVersion: v1\nkind: ConfigMap\n",
	} {
		if _, err := c.Plan(t.Context(), spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(manifest)}}}); diag.KindOf(err) != diag.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Connect([]byte("no kubeconfig"), nil); diag.KindOf(err) != diag.Invalid {
		t.Errorf("bad kubeconfig: %v", err)
	}
	s.Close()
	if _, err := c.Live(t.Context()); diag.KindOf(err) != diag.Unreachable || diag.Hint(err) == "" {
		t.Errorf("server away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Live(ctx); diag.KindOf(err) != diag.Canceled {
		t.Errorf("canceled: %v", err)
	}
}

func TestConflictIsSeenThroughItsKind(t *testing.T) {
	t.Parallel()
	err := apiError(t.Context(), "taint Node n1", apierrors.NewConflict(nodes.GroupResource(), "n1", errors.New("changed")))
	if !apierrors.IsConflict(err) || diag.KindOf(err) != diag.Cluster {
		t.Errorf("got %v of kind %q", err, diag.KindOf(err))
	}
}

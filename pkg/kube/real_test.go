//go:build e2e

package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// startReal runs etcd and kube-apiserver, found in the directories that
// KFORGE_TEST_KUBE_BIN lists, and gives an admin kubeconfig.
func startReal(t *testing.T) []byte {
	t.Helper()
	dirs := os.Getenv("KFORGE_TEST_KUBE_BIN")
	if dirs == "" {
		t.Fatal("KFORGE_TEST_KUBE_BIN names no directories with etcd and kube-apiserver: make e2e does")
	}
	dir := t.TempDir()
	etcdURL, peerURL := "http://"+freeAddr(t), "http://"+freeAddr(t)
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sa := write("sa.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	tokens := write("tokens.csv", []byte("admin,admin,1,system:masters\n"))
	start(t, dirs, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", etcdURL,
		"--advertise-client-urls", etcdURL, "--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL,
		"--initial-cluster", "default="+peerURL)
	start(t, dirs, "kube-apiserver", "--etcd-servers", etcdURL, "--secure-port", port, "--bind-address", "127.0.0.1",
		"--cert-dir", dir, "--token-auth-file", tokens, "--authorization-mode", "RBAC",
		"--service-account-key-file", sa, "--service-account-signing-key-file", sa,
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-cluster-ip-range", "10.96.0.0/16")

	var ca []byte
	deadline := time.Now().Add(time.Minute)
	for len(ca) == 0 { // the server makes its own certificate
		if time.Now().After(deadline) {
			t.Fatal("kube-apiserver wrote no certificate")
		}
		time.Sleep(50 * time.Millisecond)
		ca, _ = os.ReadFile(filepath.Join(dir, "apiserver.crt"))
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"c","cluster":{"server":"https://%s","certificate-authority-data":"%s"}}],
"users":[{"name":"u","user":{"token":"admin"}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`,
		addr, base64.StdEncoding.EncodeToString(ca))
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func start(t *testing.T, dirs, name string, args ...string) {
	t.Helper()
	for _, dir := range filepath.SplitList(dirs) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		cmd := exec.CommandContext(context.Background(), path, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				tail := out.String()
				t.Logf("%s said:\n%s", name, tail[max(0, len(tail)-2000):])
			}
		})
		return
	}
	t.Fatalf("%s is in none of %s", name, dirs)
}

// TestRealAPIServer holds the fake server's promises against a real one.
func TestRealAPIServer(t *testing.T) {
	t.Parallel()
	c, err := Connect(startReal(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	apply := func(w spec.KubeWork, want int) map[string]string {
		t.Helper()
		changes, values, err := c.Apply(ctx, w, func(e Event) { t.Log(e.Message) })
		if err != nil || len(changes) != want {
			t.Fatalf("apply made %d changes, want %d: %v", len(changes), want, err)
		}
		return values
	}
	plan := func(w spec.KubeWork, want int) {
		t.Helper()
		changes, err := c.Plan(ctx, w)
		if err != nil || len(changes) != want {
			t.Fatalf("plan has %d changes, want %d: %v\n%+v", len(changes), want, err, changes)
		}
	}
	apply(spec.KubeWork{WaitAPI: true}, 0)
	apply(spec.KubeWork{Objects: []spec.Object{{Manifest: []byte("apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n")}}}, 1)

	objects := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(realManifests)}}}
	plan(objects, 6)
	apply(objects, 6)
	plan(objects, 0)
	apply(objects, 0)
	changed := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(strings.ReplaceAll(realManifests, "flannel:v1", "flannel:v2"))}}}
	plan(changed, 1)
	apply(changed, 1)
	plan(changed, 0)

	merge := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(labels), Merge: true}}}
	taint := func(patch string) {
		t.Helper()
		_, err := c.dynamic.Resource(nodes).Patch(ctx, "n1", "application/strategic-merge-patch+json", []byte(patch), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	taint(`{"spec":{"taints":[{"key":"node.kubernetes.io/disk-pressure","effect":"NoSchedule"}]}}`)
	plan(merge, 1)
	apply(merge, 1)
	plan(merge, 0)
	node, err := c.node(ctx, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if taints, _, _ := unstructured.NestedSlice(node.Object, "spec", "taints"); len(taints) != 2 {
		t.Errorf("taints are %v", taints)
	}
	taint(`{"spec":{"taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"},{"key":"other","effect":"NoExecute"}]}}`)
	plan(merge, 0) // what another put there is no difference
	without := spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(labelsGone), Merge: true}}}
	plan(without, 1)
	apply(without, 1)
	plan(without, 0)
	if node, err = c.node(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	taints, _, _ := unstructured.NestedSlice(node.Object, "spec", "taints")
	if len(taints) != 1 || len(node.GetLabels()) != 0 || len(node.GetAnnotations()) != 0 {
		t.Errorf("taints %v, labels %v and annotations %v are left", taints, node.GetLabels(), node.GetAnnotations())
	}
	values := apply(spec.KubeWork{JoinToken: &spec.JoinToken{TTLSeconds: 600, Description: "test"}}, 1)
	if len(values[spec.ValueJoinToken]) != 23 {
		t.Errorf("values are %v", values)
	}
	_, _, err = c.Apply(ctx, spec.KubeWork{Ready: []spec.Ready{
		{Kind: "Node", Name: "n1", TimeoutSeconds: 2},
		{Kind: "DaemonSet", Namespace: "kube-flannel", Name: "flannel", TimeoutSeconds: 2},
	}}, nil)
	if diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "the kubelet has not reported yet") {
		t.Errorf("wait: %v", err)
	}
	var kubelet sync.WaitGroup
	kubelet.Go(func() {
		c.dynamic.Resource(nodes).Patch(ctx, "n1", "application/merge-patch+json",
			[]byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`), metav1.PatchOptions{}, "status")
		c.dynamic.Resource(nodes).Patch(ctx, "n1", "application/merge-patch+json",
			[]byte(`{"spec":{"taints":null}}`), metav1.PatchOptions{})
	})
	apply(spec.KubeWork{Ready: []spec.Ready{{Kind: "Node", Name: "n1", TimeoutSeconds: 20}}}, 0)
	kubelet.Wait()
	state, err := c.Live(ctx)
	if err != nil || !strings.HasPrefix(state.Version, "v1.") || len(state.Nodes) != 1 || !state.Nodes[0].Ready {
		t.Errorf("Live = %+v, %v", state, err)
	}
	realDrain(t, c)
	forget := spec.KubeWork{ForgetNodes: []string{"n1"}}
	plan(forget, 1)
	apply(forget, 1)
	apply(forget, 0)
}

// realDrain takes pods off n1. Nobody runs them, so that an evicted pod is gone
// once its grace period of 0 has passed.
func realDrain(t *testing.T, c *Cluster) {
	t.Helper()
	ctx := t.Context()
	if _, _, err := c.Apply(ctx, spec.KubeWork{Objects: []spec.Object{{Manifest: []byte(realPods)}}}, nil); err != nil {
		t.Fatal(err)
	}
	// There is no kubelet either, and budgets protect only pods that run.
	if _, err := c.dynamic.Resource(pods).Namespace("drained").Patch(ctx, "db", "application/merge-patch+json",
		[]byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	budget := c.dynamic.Resource(schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}).Namespace("drained")
	// There is no controller: the budget's status is set as it would.
	allow := func(n int) {
		t.Helper()
		pdb, err := budget.Get(ctx, "db", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pdb.Object["status"] = map[string]any{"observedGeneration": pdb.GetGeneration(), "disruptionsAllowed": int64(n),
			"currentHealthy": int64(n + 1), "desiredHealthy": int64(1), "expectedPods": int64(1)}
		if _, err := budget.UpdateStatus(ctx, pdb, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	allow(0)
	drain := func(seconds int, force bool) spec.KubeWork {
		return spec.KubeWork{Drain: []spec.Drain{{Node: "n1", TimeoutSeconds: seconds, Force: force}}}
	}
	if _, err := c.Plan(ctx, drain(2, false)); diag.KindOf(err) != diag.Foreign || !strings.Contains(err.Error(), "drained/alone") {
		t.Errorf("a pod of nobody: %v", err)
	}
	changes, err := c.Plan(ctx, drain(2, true))
	if err != nil || len(changes) != 3 { // cordon, alone, db
		t.Errorf("plan of a drain: %+v, %v", changes, err)
	}
	_, _, err = c.Apply(ctx, drain(2, true), nil)
	if err == nil || !strings.Contains(err.Error(), "drained/db is held: The disruption budget db needs 1 healthy pods") {
		t.Errorf("a budget in the way: %v", err)
	}
	var said sync.Once
	changes, _, err = c.Apply(ctx, drain(30, true), func(e Event) {
		if strings.Contains(e.Message, "pod drained/db waits") {
			said.Do(func() { allow(1) })
		}
	})
	if err != nil || len(changes) != 1 {
		t.Errorf("once the budget allows it: %+v, %v", changes, err)
	}
	if changes, err := c.Plan(ctx, drain(2, true)); err != nil || len(changes) != 0 {
		t.Errorf("plan after the drain: %+v, %v", changes, err)
	}
	if changes, _, err = c.Apply(ctx, spec.KubeWork{Uncordon: []string{"n1"}}, nil); err != nil || len(changes) != 1 {
		t.Errorf("uncordon: %+v, %v", changes, err)
	}
}

const realPods = `
apiVersion: v1
kind: Namespace
metadata: {name: drained}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: drained}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db, namespace: drained}
spec: {minAvailable: 1, selector: {matchLabels: {app: db}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: db
  namespace: drained
  labels: {app: db}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: 11111111-2222-3333-4444-555555555555, controller: true}]
spec: {nodeName: n1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: drained}
spec: {nodeName: n1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: x}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: agent
  namespace: drained
  ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: 11111111-2222-3333-4444-555555555556, controller: true}]
spec: {nodeName: n1, terminationGracePeriodSeconds: 0, containers: [{name: c, image: x}]}
`

const realManifests = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-flannel, creationTimestamp: null, labels: {pod-security.kubernetes.io/enforce: privileged}}
---
apiVersion: example.org/v1
kind: Widget
metadata: {name: w, namespace: kube-flannel}
spec: {size: 3}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: flannel}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get, list]}]
---
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: kube-flannel}
stringData: {password: hunter2}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: flannel, namespace: kube-flannel}
spec:
  selector: {matchLabels: {app: flannel}}
  template:
    metadata: {labels: {app: flannel}}
    spec:
      containers: [{name: flannel, image: "ghcr.io/flannel-io/flannel:v1", resources: {requests: {cpu: 100m}}}]
`

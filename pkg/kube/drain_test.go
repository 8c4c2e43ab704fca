package kube

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/spec"
)

// put puts a pod on n2; owner is the kind of its controller, "" for none.
func putPod(s *kubetest.Server, name, owner string, change func(kubetest.Object)) {
	meta := kubetest.Object{"name": name, "namespace": "default"}
	if owner != "" {
		meta["ownerReferences"] = []any{kubetest.Object{"apiVersion": "apps/v1", "kind": owner, "name": "o", "uid": "u-" + owner, "controller": true}}
	}
	o := kubetest.Object{"apiVersion": "v1", "kind": "Pod", "metadata": meta,
		"spec": kubetest.Object{"nodeName": "n2"}, "status": kubetest.Object{"phase": "Running"}}
	if change != nil {
		change(o)
	}
	s.Put("/api/v1/namespaces/default/pods/"+name, o)
}

func podNames(s *kubetest.Server) []string {
	var out []string
	for _, p := range s.Paths() {
		if name, ok := strings.CutPrefix(p, "/api/v1/namespaces/default/pods/"); ok {
			out = append(out, name)
		}
	}
	return out
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put("/api/v1/nodes/n2", node("n2", true))
	putPod(s, "web", "ReplicaSet", func(o kubetest.Object) {
		o["spec"].(kubetest.Object)["volumes"] = []any{kubetest.Object{"name": "tmp", "emptyDir": kubetest.Object{}}}
	})
	putPod(s, "flannel", "DaemonSet", nil)
	putPod(s, "etcd-n2", "", func(o kubetest.Object) {
		o["metadata"].(kubetest.Object)["annotations"] = kubetest.Object{"kubernetes.io/config.mirror": "x"}
	})
	putPod(s, "job", "Job", func(o kubetest.Object) { o["status"] = kubetest.Object{"phase": "Succeeded"} })
	putPod(s, "elsewhere", "ReplicaSet", func(o kubetest.Object) { o["spec"].(kubetest.Object)["nodeName"] = "n3" })
	c := connect(t, s)
	w := spec.KubeWork{Drain: []spec.Drain{{Node: "n2", TimeoutSeconds: 20}, {Node: "not-there"}}}

	plan, err := c.Plan(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	want := []spec.Change{
		{Resource: "Node n2", Action: spec.Update, Detail: "cordon", Why: "no new pods come to it"},
		{Resource: "Pod default/web", Action: spec.Delete, Why: "node n2 is drained", Detail: "what is in its emptyDir volumes is lost"},
	}
	if d := cmp.Diff(want, plan); d != "" || len(s.Mutations()) > 0 {
		t.Errorf("plan (-want +got), %v:\n%s", s.Mutations(), d)
	}
	changes, _, err := c.Apply(t.Context(), w, nil)
	if d := cmp.Diff(want, changes); d != "" || err != nil {
		t.Errorf("apply: %v (-want +got):\n%s", err, d)
	}
	if got := podNames(s); !slices.Equal(got, []string{"elsewhere", "etcd-n2", "flannel", "job"}) {
		t.Errorf("pods left: %v", got)
	}
	if plan, err = c.Plan(t.Context(), w); err != nil || len(plan) != 0 {
		t.Errorf("plan after a drain: %v, %v", plan, err)
	}

	// What kforge cordoned it may uncordon, and nothing else.
	back := spec.KubeWork{Uncordon: []string{"n2", "n3", "not-there"}}
	s.Put("/api/v1/nodes/n3", kubetest.Object{"apiVersion": "v1", "kind": "Node", "metadata": kubetest.Object{"name": "n3"},
		"spec": kubetest.Object{"unschedulable": true}})
	for i, want := range []int{1, 0} {
		if plan, err = c.Plan(t.Context(), back); err != nil || len(plan) != want {
			t.Errorf("round %d: plan of uncordon: %v, %v", i, plan, err)
		}
		if changes, _, err = c.Apply(t.Context(), back, nil); err != nil || len(changes) != want {
			t.Errorf("round %d: uncordon: %v, %v", i, changes, err)
		}
	}
	if n2 := s.Get("/api/v1/nodes/n2"); n2["spec"].(kubetest.Object)["unschedulable"] != nil {
		t.Errorf("n2 is still cordoned: %v", n2)
	}
	if n3 := s.Get("/api/v1/nodes/n3"); n3["spec"].(kubetest.Object)["unschedulable"] != true {
		t.Error("a cordon of somebody else was undone")
	}
}

func TestDrainRefusesWhatNobodyBringsBack(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put("/api/v1/nodes/n2", node("n2", true))
	putPod(s, "alone", "", nil)
	putPod(s, "web", "ReplicaSet", nil)
	c := connect(t, s)
	_, _, err := c.Apply(t.Context(), spec.KubeWork{Drain: []spec.Drain{{Node: "n2"}}}, nil)
	if diag.KindOf(err) != diag.Foreign || !strings.Contains(err.Error(), "default/alone") || diag.Hint(err) == "" {
		t.Errorf("drain: %v, hint %q", err, diag.Hint(err))
	}
	if len(s.Mutations()) != 0 {
		t.Errorf("something was changed before: %v", s.Mutations())
	}
	force := spec.KubeWork{Drain: []spec.Drain{{Node: "n2", Force: true}}}
	changes, _, err := c.Apply(t.Context(), force, nil)
	if err != nil || len(changes) != 3 || len(podNames(s)) != 0 {
		t.Errorf("forced: %v, %v, left %v", changes, err, podNames(s))
	}
}

func TestDrainKeepsBudgets(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put("/api/v1/nodes/n2", node("n2", true))
	putPod(s, "db", "StatefulSet", nil)
	putPod(s, "web", "ReplicaSet", nil)
	var asked atomic.Int32
	s.SetBudget(func(pod string) string {
		if pod == "default/db" && asked.Add(1) < 4 {
			return "The disruption budget db needs 1 healthy pods and has 1 currently"
		}
		return ""
	})
	var said []string
	w := spec.KubeWork{Drain: []spec.Drain{{Node: "n2", TimeoutSeconds: 20}}}
	changes, _, err := connect(t, s).Apply(t.Context(), w, func(e Event) { said = append(said, e.Message) })
	if err != nil || len(changes) != 3 || asked.Load() != 4 {
		t.Errorf("%v, %v, asked %d times", changes, err, asked.Load())
	}
	if !slices.Contains(said, "pod default/db waits: The disruption budget db needs 1 healthy pods and has 1 currently") {
		t.Errorf("said %q", said)
	}
}

func TestDrainEndsAtItsTimeOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*kubetest.Server)
		says    string
	}{
		"a budget": {func(s *kubetest.Server) {
			putPod(s, "db", "StatefulSet", nil)
			s.SetBudget(func(string) string { return "needs 1 healthy pods" })
		}, "default/db is held: needs 1 healthy pods"},
		"a pod that does not end": {func(s *kubetest.Server) {
			putPod(s, "slow", "ReplicaSet", func(o kubetest.Object) {
				o["metadata"].(kubetest.Object)["deletionTimestamp"] = "2026-01-01T00:00:00Z"
			})
		}, "default/slow is still ending"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kubetest.New(t)
			s.Put("/api/v1/nodes/n2", node("n2", true))
			tt.prepare(s)
			w := spec.KubeWork{Drain: []spec.Drain{{Node: "n2", TimeoutSeconds: 1}}, DeleteNodes: []string{"n2"}}
			_, _, err := connect(t, s).Apply(t.Context(), w, nil)
			if err == nil || diag.KindOf(err).Retryable() || !strings.Contains(err.Error(), tt.says) || !strings.Contains(diag.Hint(err), "stays cordoned") {
				t.Errorf("%v, hint %q", err, diag.Hint(err))
			}
			if s.Get("/api/v1/nodes/n2") == nil {
				t.Error("the node was deleted though it is not empty")
			}
		})
	}
}

func TestDeleteNodes(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	s.Put("/api/v1/nodes/n2", node("n2", true))
	c := connect(t, s)
	w := spec.KubeWork{DeleteNodes: []string{"n2", "never-was"}}
	want := []spec.Change{{Resource: "Node n2", Action: spec.Delete, Why: "its host leaves the cluster"}}
	plan, err := c.Plan(t.Context(), w)
	if d := cmp.Diff(want, plan); d != "" || err != nil {
		t.Errorf("plan: %v (-want +got):\n%s", err, d)
	}
	if changes, _, err := c.Apply(t.Context(), w, nil); err != nil || len(changes) != 1 || s.Get("/api/v1/nodes/n2") != nil {
		t.Errorf("apply: %v, %v", changes, err)
	}
}

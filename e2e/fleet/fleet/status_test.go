package fleet_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/run"
)

// found gives what a look at the cluster finds. There is no etcd in a fleet, which
// is told each time, and left out here.
func found(t *testing.T, f *fleet.Fleet) (*run.StatusView, []string) {
	t.Helper()
	var r record
	v, err := run.Status(t.Context(), world(f, &r), options(f))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range v.Findings {
		line := string(x.Verdict) + " " + x.Host + ": " + x.Text
		if !strings.Contains(x.Text, "etcd cannot be looked at") {
			out = append(out, line)
		}
	}
	return v, out
}

// one wants a finding that begins with a verdict and has a text in it.
func one(t *testing.T, findings []string, verdict, text string) {
	t.Helper()
	if !slices.ContainsFunc(findings, func(l string) bool { return strings.HasPrefix(l, verdict) && strings.Contains(l, text) }) {
		t.Errorf("nothing is %s %q in\n%s", verdict, text, strings.Join(findings, "\n"))
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4, ControlPlanes: 3})
	v, findings := found(t, f)
	if v.Verdict != run.Unwell || v.Drift != nil || v.LastRun != nil {
		t.Errorf("no cluster: %+v", v)
	}
	one(t, findings, "unwell", "there is no cluster yet")

	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Requests()
	}
	v, findings = found(t, f)
	if len(findings) > 0 {
		t.Errorf("a new cluster:\n%s", strings.Join(findings, "\n"))
	}
	if !v.API.Answers || v.Version != "v1.37.2" || len(v.Components) != 12 || len(v.AddOns) != 3 || v.Drift.Changes != 0 || v.LastRun == nil || v.LastRun.Command != "apply" {
		t.Errorf("a new cluster: %+v\n%+v", v, v.Drift)
	}
	for _, m := range f.Machines {
		if got := m.Requests(); fleet.Changes(got) != 0 || len(got) == 0 {
			t.Errorf("%s was asked for %v", m.Name, got)
		}
	}

	// What drifted is counted where it is.
	w := f.Machine("h004")
	if err := os.Remove(filepath.Join(w.Root, "etc/crictl.yaml")); err != nil {
		t.Fatal(err)
	}
	v, findings = found(t, f)
	one(t, findings, "drifted", "apply would change 1 thing: h004 1")
	if v.Drift.Hosts["h004"] != 1 {
		t.Errorf("drift: %+v", v.Drift)
	}
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}

	// What does not run on a host is seen there before the API knows.
	unit := w.Host.Unit("kubelet.service")
	stopped := unit
	stopped.Active = "inactive"
	w.Host.SetUnit("kubelet.service", stopped)
	_, findings = found(t, f)
	one(t, findings, "unwell h004", "the kubelet does not run")
	w.Host.SetUnit("kubelet.service", unit)

	// A host out of reach, and a control plane.
	for _, name := range []string{"h001", "h004"} {
		if err := f.Machine(name).Break(fleet.Faults{Refuse: true}); err != nil {
			t.Fatal(err)
		}
	}
	v, findings = found(t, f)
	one(t, findings, "unreachable h001", "refused")
	one(t, findings, "unreachable h004", "refused")
	if len(findings) != 2 || !v.API.Answers || v.Nodes[0].Host.Reached || !v.Nodes[1].Host.Reached {
		t.Errorf("two hosts out of reach: %+v\n%s", v.Nodes, strings.Join(findings, "\n"))
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}

	// The API is down: hosts and what drifted on them are seen all the same.
	f.API.Stop()
	if err := os.Remove(filepath.Join(w.Root, "etc/crictl.yaml")); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	v, findings = found(t, f)
	one(t, findings, "unwell", "the API does not answer")
	one(t, findings, "drifted", "h004 1")
	if v.API.Answers || v.Version != "" || len(v.Components) != 12 || !v.Nodes[3].Host.Reached {
		t.Errorf("the API is down: %+v", v)
	}
	t.Logf("with the API down a look takes %s", time.Since(began).Round(time.Millisecond))
}

// What is unwell in the cluster is told with where and why.
func TestStatusTellsWhatIsUnwell(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2})
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	f.API.SetController(nil)
	node := f.API.Get("/api/v1/nodes/h002")
	node["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}},
		"nodeInfo": map[string]any{"kubeletVersion": "v1.36.3"}}
	f.API.Put("/api/v1/nodes/h002", node)
	pod := f.API.Get("/api/v1/namespaces/kube-system/pods/kube-scheduler-h001")
	pod["status"] = map[string]any{"phase": "Running", "containerStatuses": []any{map[string]any{"name": "kube-scheduler", "ready": false,
		"state": map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff"}}}}}
	f.API.Put("/api/v1/namespaces/kube-system/pods/kube-scheduler-h001", pod)
	f.API.Put("/api/v1/nodes/stranger", map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "stranger"}, "spec": map[string]any{},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True"}}}})

	v, findings := found(t, f)
	one(t, findings, "unwell h002", "Kubelet stopped posting node status")
	one(t, findings, "drifted h002", "its kubelet is v1.36.3, and the inventory says v1.37.2")
	one(t, findings, "unwell h001", "kube-scheduler: kube-scheduler-h001: CrashLoopBackOff")
	one(t, findings, "drifted stranger", "not in the inventory")
	if v.Verdict != run.Unwell {
		t.Errorf("the verdict is %s", v.Verdict)
	}

	// A server that answers, and is not well.
	f.API.SetReadyz(func() (int, string) { return http.StatusInternalServerError, "[-]etcd failed" })
	_, findings = found(t, f)
	one(t, findings, "unwell", "the API answers, and is not well: not ready: etcd")
}

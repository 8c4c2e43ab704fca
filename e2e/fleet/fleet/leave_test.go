package fleet_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func reset(t *testing.T, f *fleet.Fleet, r *record, hosts ...string) error {
	t.Helper()
	o := options(f)
	_, err := run.Reset(t.Context(), world(f, r), run.LeaveOptions{Options: o, Hosts: hosts})
	return err
}

func remove(t *testing.T, f *fleet.Fleet, r *record, change func(*run.LeaveOptions), hosts ...string) (ui.PlanView, error) {
	t.Helper()
	o := run.LeaveOptions{Options: options(f), Hosts: hosts}
	if change != nil {
		change(&o)
	}
	return run.NodeRemove(t.Context(), world(f, r), o)
}

// states are digests of all hosts' files; what a kernel shows, and the agents' own folders
// of users, are left out.
func states(t *testing.T, f *fleet.Fleet) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range f.Machines {
		if err := os.MkdirAll(filepath.Join(m.Root, "/var/lib"), 0o755); err != nil { // every real host has it
			t.Fatal(err)
		}
		d, err := m.Digest("/proc", "/sys", "/run", "/home", "/root")
		if err != nil {
			t.Fatal(err)
		}
		out[m.Name] = d
	}
	return out
}

func TestResetBringsHostsBack(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	before := states(t, f)
	for range 2 { // and apply makes a cluster of them again
		var made, gone, again record
		if err := apply(t.Context(), f, &made); err != nil {
			t.Fatal(err)
		}
		f.Machine("h002").Host.Calls()
		if err := reset(t, f, &gone); err != nil {
			t.Fatal(err)
		}
		if calls := strings.Join(f.Machine("h002").Host.Calls(), "\n"); !strings.Contains(calls, "stop kubelet.service") || !strings.Contains(calls, "disable containerd.service") {
			t.Errorf("h002 ran\n%s", calls)
		}
		after := states(t, f)
		for name, d := range before {
			if after[name] != d {
				t.Errorf("%s is not as it was: %v", name, left(t, f.Machine(name)))
			}
		}
		if err := reset(t, f, &again); err != nil {
			t.Fatal(err)
		}
		if s := again.summary(t); s.Changed != 0 || s.Mutating != 0 {
			t.Errorf("second reset: changed %d, mutating requests %d", s.Changed, s.Mutating)
		}
	}
}

// left lists what a host holds, but for what a kernel shows.
func left(t *testing.T, m *fleet.Machine) (out []string) {
	t.Helper()
	err := filepath.WalkDir(m.Root, func(p string, _ os.DirEntry, err error) error {
		if rel := strings.TrimPrefix(p, m.Root); !strings.HasPrefix(rel, "/proc/") && !strings.HasPrefix(rel, "/sys/") {
			out = append(out, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// However often the agents are killed, the same command goes on.
func TestResetGoesOn(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	before := states(t, f)
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	for nth := 1; ; nth++ {
		for _, m := range f.Machines {
			if err := m.Break(fleet.Faults{KillAtProgram: nth}); err != nil {
				t.Fatal(err)
			}
		}
		var r record
		if err := reset(t, f, &r); err == nil {
			break
		}
		if nth > 40 {
			t.Fatal("it never ends")
		}
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	var last record
	if err := reset(t, f, &last); err != nil || last.summary(t).Changed != 0 {
		t.Errorf("the reset after that: %v", err)
	}
	after := states(t, f)
	for name, d := range before {
		if after[name] != d {
			t.Errorf("%s is not as it was: %v", name, left(t, f.Machine(name)))
		}
	}
}

func nodesOf(f *fleet.Fleet) (out []string) {
	for _, p := range f.API.Paths() {
		if name, ok := strings.CutPrefix(p, "/api/v1/nodes/"); ok {
			out = append(out, name)
		}
	}
	return out
}

func TestResetOfOneHostLeavesTheOthers(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	bare := states(t, f)
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	whole := states(t, f)
	for _, m := range f.Machines {
		m.Requests()
	}
	var one record
	if err := reset(t, f, &one, "h003"); err != nil {
		t.Fatal(err)
	}
	if ends := one.ends("drain", "clean", "node"); !slices.Equal(ends, []string{"h003/drain changed", "h003/clean changed", "h003/node changed"}) {
		t.Errorf("steps %v", ends)
	}
	after := states(t, f)
	for name, d := range whole {
		if name == "h003" {
			d = bare[name]
		}
		if after[name] != d {
			t.Errorf("%s is not as it should be: %v", name, left(t, f.Machine(name)))
		}
	}
	if got := nodesOf(f); slices.Contains(got, "h003") || len(got) != 3 {
		t.Errorf("nodes %v", got)
	}
	if n := f.Machine("h002").Requests(); len(n) > 0 {
		t.Errorf("h002 was asked %v", n)
	}
	var again record
	if err := apply(t.Context(), f, &again); err != nil || !slices.Contains(nodesOf(f), "h003") {
		t.Errorf("apply after that: %v, nodes %v", err, nodesOf(f))
	}
}

func TestResetOfTheLastControlPlaneIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2})
	var r, one record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	before := states(t, f)
	err := reset(t, f, &one, "h001")
	if diag.KindOf(err) != diag.Preflight || !strings.Contains(err.Error(), "no control plane would be left") {
		t.Errorf("%v", err)
	}
	if after := states(t, f); after["h001"] != before["h001"] {
		t.Error("it was changed")
	}
}

func TestNodeRemove(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	dead := func(o *run.LeaveOptions) { o.Dead = true }
	refused := func(kind diag.Kind, says, hint string, change func(*run.LeaveOptions), hosts ...string) {
		t.Helper()
		var r record
		before := read(t, f.Inventory)
		_, err := remove(t, f, &r, change, hosts...)
		if diag.KindOf(err) != kind || !strings.Contains(err.Error(), says) || !strings.Contains(diag.Hint(err), hint) {
			t.Errorf("remove %v: %v (%s), hint %q; want %q, hint %q", hosts, err, diag.KindOf(err), diag.Hint(err), says, hint)
		}
		if len(nodesOf(f)) != 4 || read(t, f.Inventory) != before {
			t.Error("something was changed")
		}
	}

	// Unreachable is not absent, and a node that is Ready is not dead.
	if err := f.Machine("h004").Break(fleet.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	refused(diag.Unreachable, "h004", "--dead", nil, "h004")
	refused(diag.Preflight, "its node is Ready", "leave out --dead", dead, "h004")
	refused(diag.Preflight, "its node is Ready", "leave out --dead", func(o *run.LeaveOptions) { o.Dead, o.Force = true, []string{"h004"} }, "h004")

	// What nobody brings back, and data that are nowhere else.
	pod := kubetest.Object{"apiVersion": "v1", "kind": "Pod", "metadata": kubetest.Object{"name": "alone", "namespace": "default"},
		"spec": kubetest.Object{"nodeName": "h003"}}
	f.API.Put("/api/v1/namespaces/default/pods/alone", pod)
	refused(diag.Foreign, "default/alone", "force", nil, "h003")
	f.API.Put("/api/v1/persistentvolumes/data", kubetest.Object{"apiVersion": "v1", "kind": "PersistentVolume", "metadata": kubetest.Object{"name": "data"},
		"spec": kubetest.Object{"claimRef": kubetest.Object{"namespace": "default", "name": "data"}, "nodeAffinity": kubetest.Object{"required": kubetest.Object{
			"nodeSelectorTerms": []any{kubetest.Object{"matchExpressions": []any{kubetest.Object{"key": "kubernetes.io/hostname", "operator": "In", "values": []any{"h003"}}}}}}}},
		"status": kubetest.Object{"phase": "Bound"}})
	refused(diag.Preflight, "the only copy of volume data of claim default/data", "--force h003", nil, "h003")
	refused(diag.Invalid, `"h0*" is not the name of a host`, "", nil, "h0*")
	refused(diag.Invalid, `"h002" is none of the hosts that leave`, "", func(o *run.LeaveOptions) { o.Force = []string{"h002"} }, "h003")
	refused(diag.Preflight, "no control plane would be left", "kforge reset", nil, "h001")

	var view, gone record
	plan, err := remove(t, f, &view, func(o *run.LeaveOptions) { o.PlanOnly, o.Force = true, []string{"h003"} }, "h003")
	if err != nil || plan.Inventory == nil || len(nodesOf(f)) != 4 {
		t.Errorf("plan: %+v, %v", plan.Inventory, err)
	}
	if _, err := remove(t, f, &gone, func(o *run.LeaveOptions) { o.Force = []string{"h003"} }, "h003"); err != nil {
		t.Fatal(err)
	}
	// The dead one, once the cluster has seen that it is.
	node := f.API.Get("/api/v1/nodes/h004")
	f.API.SetController(nil)
	node["status"] = kubetest.Object{"conditions": []any{kubetest.Object{"type": "Ready", "status": "Unknown"}}}
	f.API.Put("/api/v1/nodes/h004", node)
	if _, err := remove(t, f, &gone, dead, "h004"); err != nil {
		t.Fatal(err)
	}
	if got := nodesOf(f); !slices.Equal(got, []string{"h001", "h002"}) || !slices.Equal(names(t, f), got) {
		t.Errorf("nodes %v, inventory %v", got, names(t, f))
	}
	if f.API.Get("/api/v1/namespaces/default/pods/alone") != nil {
		t.Error("the pod that was given up is still there")
	}
}

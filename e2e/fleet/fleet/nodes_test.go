package fleet_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

// split makes a cluster of the first hosts of a fleet and gives the others, for
// somebody to add.
func split(t *testing.T, f *fleet.Fleet, first int) []inventory.Host {
	t.Helper()
	rest := spare(t, f, first)
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Requests()
	}
	return rest
}

// spare takes all but the first hosts out of the inventory.
func spare(t *testing.T, f *fleet.Fleet, first int) (rest []inventory.Host) {
	t.Helper()
	raw := read(t, f.Inventory)
	inv, _, _, err := inventory.Decode("", ".", []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	var e inventory.Edit
	for _, h := range inv.Spec.Hosts[first:] {
		e.Remove = append(e.Remove, h.Name)
		h.TimeoutScale = 0 // what no flag sets
		rest = append(rest, h)
	}
	if err := e.File(f.Inventory); err != nil {
		t.Fatal(err)
	}
	return rest
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func add(ctx context.Context, f *fleet.Fleet, r *record, hosts ...inventory.Host) error {
	return run.NodeAdd(ctx, world(f, r), run.AddOptions{Options: options(f), Hosts: hosts})
}

// names of the inventory's hosts.
func names(t *testing.T, f *fleet.Fleet) (out []string) {
	t.Helper()
	c, _, err := inventory.Load(f.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range c.Hosts {
		out = append(out, h.Name)
	}
	return out
}

func TestNodeAddTouchesNoOther(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	rest := split(t, f, 2)
	var r record
	if err := add(t.Context(), f, &r, rest...); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"h001", "h002", "h003", "h004"}, names(t, f)); d != "" {
		t.Errorf("the inventory's hosts (-want +got):\n%s", d)
	}
	for _, name := range []string{"h003", "h004"} {
		if f.API.Get("/api/v1/nodes/"+name) == nil {
			t.Errorf("%s has no node", name)
		}
	}
	if got := f.Machine("h001").Requests(); fleet.Changes(got) != 0 {
		t.Errorf("the control plane was asked for changes: %v", got)
	}
	if got := f.Machine("h002").Requests(); len(got) != 0 {
		t.Errorf("a worker was reached that was not asked for: %v", got)
	}
	// The same again changes nothing, neither on hosts nor in the file.
	before := read(t, f.Inventory)
	var again record
	if err := add(t.Context(), f, &again, rest...); err != nil {
		t.Fatal(err)
	}
	if s := again.summary(t); s.Changed != 0 || s.Mutating != 0 || read(t, f.Inventory) != before {
		t.Errorf("the second time: %+v", s)
	}
	// And neither does apply.
	var whole record
	if err := apply(t.Context(), f, &whole); err != nil {
		t.Fatal(err)
	}
	if s := whole.summary(t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("apply after it: %+v", s)
	}
}

// A host that cannot be added leaves no trace in the inventory; the others are
// added all the same.
func TestNodeAddWritesOnlyHostsThatPass(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4})
	rest := split(t, f, 2)
	if err := f.Machine("h003").Break(fleet.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	before := read(t, f.Inventory)
	var r record
	if err := add(t.Context(), f, &r, rest[0]); diag.KindOf(err) != diag.Unreachable {
		t.Errorf("a host that is not there: %v, want kind unreachable", err)
	}
	if after := read(t, f.Inventory); after != before {
		t.Errorf("it is in the inventory:\n%s", after)
	}
	if err := add(t.Context(), f, &r, rest...); diag.KindOf(err) != diag.Partial {
		t.Errorf("one of two hosts is not there: %v, want kind partial", err)
	}
	if d := cmp.Diff([]string{"h001", "h002", "h004"}, names(t, f)); d != "" {
		t.Errorf("the inventory's hosts (-want +got):\n%s", d)
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), f, &r, rest...); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"h001", "h002", "h004", "h003"}, names(t, f)); d != "" {
		t.Errorf("the inventory's hosts (-want +got):\n%s", d)
	}
}

// What failed after the first change is gone on with by the same command.
func TestNodeAddGoesOn(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2})
	rest := split(t, f, 1)
	if err := f.Machine("h002").Break(fleet.Faults{Exit: map[string]int{"kubeadm join": 1}}); err != nil {
		t.Fatal(err)
	}
	var r record
	if err := add(t.Context(), f, &r, rest...); err == nil {
		t.Fatal("the join failed, and nobody says so")
	}
	if got := names(t, f); !slices.Contains(got, "h002") {
		t.Errorf("a host that was changed is not in the inventory: %v", got)
	}
	if err := f.Heal(); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), f, &r, rest...); err != nil {
		t.Fatal(err)
	}
	if f.API.Get("/api/v1/nodes/h002") == nil {
		t.Error("h002 has no node")
	}
}

func TestNodeAddRefuses(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	third := split(t, f, 2)[0]
	before := read(t, f.Inventory)
	refused := func(name string, want diag.Kind, text string, change func(*run.Env, *run.AddOptions)) {
		t.Helper()
		var r record
		env, o := world(f, &r), run.AddOptions{Options: options(f), Hosts: []inventory.Host{third}}
		change(env, &o)
		err := run.NodeAdd(t.Context(), env, o)
		if diag.KindOf(err) != want || !contains(err, text) {
			t.Errorf("%s: %v, want kind %s and %q", name, err, want, text)
		}
		if got := f.Machine("h003").Requests(); fleet.Changes(got) != 0 {
			t.Errorf("%s: the host was asked for changes: %v", name, got)
		}
		if after := read(t, f.Inventory); after != before {
			t.Errorf("%s: the inventory was changed:\n%s", name, after)
		}
	}
	asIs := func(*run.Env, *run.AddOptions) {}

	refused("nobody to ask", diag.Consent, "no terminal", func(_ *run.Env, o *run.AddOptions) { o.Yes = false })
	refused("a no", diag.Consent, "not agreed", func(e *run.Env, o *run.AddOptions) {
		o.Yes, e.Confirm = false, func(context.Context, ui.PlanView) (bool, error) { return false, nil }
	})
	refused("other settings", diag.Invalid, `host "h002" with other settings`, func(_ *run.Env, o *run.AddOptions) { o.Hosts[0].Name = "h002" })
	refused("twice", diag.Invalid, "named twice", func(_ *run.Env, o *run.AddOptions) { o.Hosts = append(o.Hosts, third) })
	refused("unknown class", diag.Invalid, `unknown class "gpu"`, func(_ *run.Env, o *run.AddOptions) { o.Hosts[0].Class = "gpu" })

	f.API.Put("/api/v1/nodes/h003", kubetest.Object{"apiVersion": "v1", "kind": "Node", "metadata": kubetest.Object{"name": "h003"}, "spec": kubetest.Object{}})
	refused("a node of this name", diag.Foreign, "another machine", asIs)
}

func TestNodeAddWantsACluster(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	host := spare(t, f, 2)[0]
	var r record
	if err := add(t.Context(), f, &r, host); diag.KindOf(err) != diag.Invalid || !contains(err, "no cluster yet on h001") {
		t.Errorf("there is no cluster: %v", err)
	}
	if err := f.Machine("h001").Break(fleet.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), f, &r, host); diag.KindOf(err) != diag.Unreachable || !contains(err, "none can be reached") {
		t.Errorf("the control plane is not there: %v", err)
	}
	if got := names(t, f); slices.Contains(got, "h003") {
		t.Errorf("the inventory has %v", got)
	}
}

func TestNodeList(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	rest := split(t, f, 2)
	e := inventory.Edit{Add: rest}
	if err := e.File(f.Inventory); err != nil {
		t.Fatal(err)
	}
	f.API.Put("/api/v1/nodes/other", kubetest.Object{"apiVersion": "v1", "kind": "Node",
		"metadata": kubetest.Object{"name": "other"}, "spec": kubetest.Object{"unschedulable": true}})
	var r record
	view, err := run.NodeList(t.Context(), world(f, &r), f.Inventory)
	if err != nil {
		t.Fatal(err)
	}
	worker, plane := []string{"worker"}, []string{"control-plane"}
	want := []run.NodeView{
		{Name: "h001", State: run.NodeJoined, Roles: plane, Address: "127.0.0.1", Ready: true, Version: "v1.37.2"},
		{Name: "h002", State: run.NodeJoined, Roles: worker, Address: "127.0.0.1", Ready: true, Version: "v1.37.2"},
		{Name: "h003", State: run.NodeMissing, Roles: worker, Address: "127.0.0.1"},
		{Name: "other", State: run.NodeUnknown, Roles: worker, Ready: true, Version: "v1.37.2", Unschedulable: true},
	}
	if d := cmp.Diff(want, view.Nodes); d != "" {
		t.Errorf("nodes (-want +got):\n%s", d)
	}
	if n := f.Machine("h002").Requests(); len(n) != 0 {
		t.Errorf("a worker was reached: %v", n)
	}
	if err := f.Machine("h001").Break(fleet.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := run.NodeList(t.Context(), world(f, &r), f.Inventory); diag.KindOf(err) != diag.Unreachable {
		t.Errorf("no control plane is there: %v", err)
	}
}

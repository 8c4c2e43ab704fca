package run_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/run"
)

// After an apply, history and report tell of it, from the record and from the
// hosts, and send no request that could change anything.
func TestHistoryAndReport(t *testing.T) {
	t.Parallel()
	f, err := fleet.New(t.TempDir(), fleet.Options{Hosts: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	dir := filepath.Dir(f.Inventory)
	env := &run.Env{
		Version: "test", StateDir: filepath.Join(dir, "runs"), CacheDir: filepath.Join(dir, "cache"),
		Agents: agentbin.FromBinaries(map[string][]byte{runtime.GOARCH: []byte("the agent runs in this process")}),
	}
	if err := run.Apply(t.Context(), env, run.Options{Inventory: f.Inventory, Yes: true}); err != nil {
		t.Fatal(err)
	}
	changes := func() (n int) { // since it was last asked
		for _, m := range f.Machines {
			n += fleet.Changes(m.Requests())
		}
		return n
	}
	changes()
	warn := func(e event.Event) { t.Logf("%s %s: %s", e.Event, e.Host, e.Text) }

	records, err := run.History(env.StateDir, "fleet", 0)
	if err != nil || len(records) != 1 {
		t.Fatalf("History = %+v, %v", records, err)
	}
	r := records[0]
	if r.Command != "apply" || r.Result != event.Changed || r.Hosts != 3 || r.Changed == 0 || r.Seconds <= 0 || !strings.Contains(r.User, "@") {
		t.Errorf("record = %+v", r)
	}
	past, err := run.ReadRun(r.Dir)
	if err != nil || len(past.Changes) != r.Changed || len(past.Results) != 4 {
		t.Errorf("ReadRun: %d changes of %d, %d results, %v", len(past.Changes), r.Changed, len(past.Results), err)
	}
	of := 0
	for _, c := range past.Changes {
		if c.Host == "h002" && !strings.HasPrefix(c.Resource, "Node ") { // its labels are the cluster's
			of++
		}
	}
	list, err := run.HostHistory(t.Context(), env, f.Inventory, "h002", 0, warn)
	if err != nil || len(list) != of || of == 0 {
		t.Errorf("HostHistory gave %d changes, the record %d: %v", len(list), of, err)
	}
	for _, e := range list {
		if e.Run != r.Run || e.Version != "test" || e.Outcome != "ok" {
			t.Errorf("entry = %+v", e)
		}
	}
	if list, err = run.HostHistory(t.Context(), env, f.Inventory, "h002", 2, warn); err != nil || len(list) != 2 {
		t.Errorf("HostHistory with a limit of 2 gave %d: %v", len(list), err)
	}

	// A host that is lost is on the page, and is the error.
	if err := f.Machine("h003").Break(fleet.Faults{Refuse: true}); err != nil {
		t.Fatal(err)
	}
	in, err := run.Report(t.Context(), env, run.ReportOptions{Inventory: f.Inventory, Dir: env.StateDir}, warn)
	if diag.KindOf(err) != diag.Partial || in == nil {
		t.Fatalf("Report = %v, %v, want an input and an error of kind partial", in, err)
	}
	if in.Cluster != "fleet" || len(in.Hosts) != 3 || in.Hosts[0].Facts == nil || in.Hosts[2].Facts != nil || in.Hosts[2].Error == "" || len(in.Run) == 0 {
		t.Errorf("input: cluster %s, hosts %+v, %d events", in.Cluster, in.Hosts, len(in.Run))
	}
	if n := changes(); n != 0 {
		t.Errorf("%d mutating requests were sent", n)
	}
	if entries, err := os.ReadDir(env.StateDir); err != nil || len(entries) != 1 {
		t.Errorf("history or report left a record: %v, %v", entries, err)
	}
}

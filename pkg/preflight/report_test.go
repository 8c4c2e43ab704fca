package preflight_test

import (
	"encoding/json"
	"encoding/xml"
	"slices"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/preflight"
)

// The documents for programs are what the docs promise.
func TestReportGolden(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.Cluster.File = "lab.yaml"
	all(
		paths(closed("n2", 10250, "no answer")),
		on("n1", func(f *facts.Host) {
			f.Kernel.Release = "4.19.0"
			f.Swap.Active = []facts.SwapArea{{Path: "/dev/sda2", Size: gib}}
		}),
		on("n2", func(f *facts.Host) { f.OS.Systemd = 0 }),
		on("n2", func(f *facts.Host) { f.MachineID = "id-10.0.0.11" }),
		tune("n2", "systemd", inventory.Check{Severity: "off", Reason: "replaced in March <soon>"}),
		func(in *preflight.Input) {
			delete(in.Facts, "n3")
			in.Unreachable = map[string]error{"n3": diag.New(diag.Unreachable, "dial 10.0.0.13:22", "connection refused").On("n3").WithHint("is it on?")}
		},
	)(&in)
	r := preflight.Examine(in)
	if len(r.Rules) != len(preflight.Rules()) {
		t.Errorf("the report has %d rules, want all %d", len(r.Rules), len(preflight.Rules()))
	}
	// The page need not change with each new rule.
	shown := []string{"reach", "systemd", "kernel", "swap", "machine-id", "ports"}
	r.Rules = slices.DeleteFunc(r.Rules, func(rule preflight.RuleTotals) bool { return !slices.Contains(shown, rule.Name) })
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "report.json", append(raw, '\n'))
	xmlRaw, err := r.JUnit()
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "report.xml", xmlRaw)
	var back struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(xmlRaw, &back); err != nil || back.Failures != r.Summary.Errors || back.Skipped != 1 || back.Tests < 2*len(shown) {
		t.Errorf("JUnit has %+v, %v; the report %+v", back, err, r.Summary)
	}
}

package plan_test

import (
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// What somebody else put on a node is taken over there, and nowhere else.
func TestAdoptedNodesAreTakenOver(t *testing.T) {
	t.Parallel()
	in := finished()
	in.Facts["n2"].Containerd.Foreign = []string{"/etc/containerd/config.toml"}
	p, err := plan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, s := range p.Steps {
		w, ok := s.Work.(*spec.HostWork)
		if !ok {
			continue
		}
		for _, r := range w.Resources {
			takes := r.File != nil && r.File.Takeover && r.File.Path != "/etc/crictl.yaml" || r.Archive != nil && r.Archive.Takeover
			if takes {
				seen[s.Host]++
			}
			if (r.File != nil || r.Archive != nil) && s.Host == "n2" && !takes && r.File.Path != "/etc/crictl.yaml" {
				t.Errorf("%s is not taken over", r.ID)
			}
		}
	}
	if seen["n2"] == 0 || len(seen) != 1 {
		t.Errorf("taken over, by host: %v", seen)
	}
	if len(p.Notes) == 0 || !strings.Contains(p.Notes[0].Message, "n2 is taken over") {
		t.Errorf("notes are %+v", p.Notes)
	}
}

func TestRefusesToAdopt(t *testing.T) {
	t.Parallel()
	in := finished()
	in.Facts["n2"].Containerd.Foreign = []string{"/etc/containerd/config.toml"}
	in.Facts["n2"].Leftovers = []facts.Leftover{{Kind: "cni", Path: "/etc/cni/net.d/10-calico.conflist"}}
	if _, err := plan.Build(in); diag.KindOf(err) != diag.Unsupported || !strings.Contains(err.Error(), "10-calico.conflist") {
		t.Errorf("another pod network: %v", err)
	}
	in = finished()
	in.Live.Networks = plan.LiveNetworks{PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", DNSDomain: "cluster.local"}
	_, err := plan.Build(in)
	if diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "its serviceCIDR is 10.96.0.0/12") || diag.Hint(err) != "write into spec.network of the inventory: serviceCIDR: 10.96.0.0/12" {
		t.Errorf("other networks: %v; %s", err, diag.Hint(err))
	}
}

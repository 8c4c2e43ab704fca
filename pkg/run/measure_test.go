package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/preflight"
	"kforge.dev/kforge/pkg/wire"
)

// What was there before is not spoken to, what could not be opened is not
// dialled, and a way without a UDP port of its own is measured by a spare one.
func TestTargets(t *testing.T) {
	t.Parallel()
	api, vxlan := facts.Port{Proto: "tcp", Port: 6443}, facts.Port{Proto: "udp", Port: 8472}
	spare := facts.Port{Proto: "udp", Port: 40000}
	way := preflight.Way{From: "n2", To: "n1", Ports: []facts.Port{api, vxlan}}
	for name, tt := range map[string]struct {
		api, vxlan wire.Listening
		want       []wire.TargetPort
	}{
		"all open":          {wire.Listening{}, wire.Listening{}, []wire.TargetPort{{Port: api}, {Port: vxlan}}},
		"API there already": {wire.Listening{Held: true}, wire.Listening{}, []wire.TargetPort{{Port: api, Held: true}, {Port: vxlan}}},
		"pods' there":       {wire.Listening{}, wire.Listening{Held: true}, []wire.TargetPort{{Port: api}, {Port: vxlan, Held: true}, {Port: spare}}},
		"API not opened":    {wire.Listening{Error: "permission denied"}, wire.Listening{}, []wire.TargetPort{{Port: vxlan}}},
	} {
		d := &door{address: "10.0.0.1", spare: spare, ports: map[facts.Port]wire.Listening{api: tt.api, vxlan: tt.vxlan}}
		if diff := cmp.Diff(wire.Target{Address: "10.0.0.1", MTU: true, Ports: tt.want}, d.target(way)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if a, b := newNonce(), newNonce(); a == b || len(a) != 16 {
		t.Errorf("nonces %q and %q", a, b)
	}
}

func TestChooseHosts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "i.yaml")
	text := "apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: c}\nspec:\n  hosts: {n1: 10.0.0.1, n2: 10.0.0.2, n3: 10.0.0.3}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := choose(CheckOptions{Inventory: file, Skip: []string{"n2"}})
	if err != nil || !slices.Equal(hostNames(c), []string{"n1", "n3"}) {
		t.Errorf("chosen %v, %v", c, err)
	}
	if _, err := choose(CheckOptions{Inventory: file, Limit: []string{"n9"}}); diag.KindOf(err) != diag.Invalid {
		t.Errorf("an unknown host: %v", err)
	}
}

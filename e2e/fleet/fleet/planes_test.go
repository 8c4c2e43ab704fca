package fleet_test

import (
	"slices"
	"strings"
	"testing"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
)

// ends gives the steps of a kind in the order in which they ended, "h002/join ok".
func (r *record) ends(names ...string) []string {
	var out []string
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		_, name, _ := strings.Cut(e.Step, "/")
		if e.Event == event.StepDone && slices.Contains(names, name) {
			out = append(out, e.Step+" "+string(e.Status))
		}
	}
	return out
}

func TestThreeControlPlanes(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 5, ControlPlanes: 3})
	var first record
	if err := apply(t.Context(), f, &first); err != nil {
		t.Fatal(err)
	}
	planes := first.ends("init", "upload-certs", "healthy")
	want := []string{"h001/init changed", "h001/upload-certs changed", "h002/healthy ok", "h003/healthy ok"}
	if !slices.Equal(planes, want) {
		t.Errorf("control planes: %v, want %v", planes, want)
	}
	joins := first.ends("join", "healthy")
	if slices.Index(joins, "h003/join changed") < slices.Index(joins, "h002/healthy ok") {
		t.Errorf("h003 joins before h002 is healthy: %v", joins)
	}
	for i, m := range f.Machines {
		// Each stands among those that are asked whether they are ready, and among
		// those that are tried when none says so.
		if conf := m.Host.ReadFile(node.LoadBalancerConfig); strings.Count(conf, "\n    server h00") != 6 {
			t.Errorf("%s balances over\n%s", m.Name, conf)
		}
		server := "server: https://10.0.0.1:6443" // as kubeadm leaves it
		if i >= 3 {
			server = "server: https://127.0.0.1:7443"
		}
		if conf := m.Host.ReadFile(kubeadm.KubeletConf); !strings.Contains(conf, server) {
			t.Errorf("%s: its kubelet does not ask %s:\n%s", m.Name, server, conf)
		}
	}
	var second record
	if err := apply(t.Context(), f, &second); err != nil {
		t.Fatal(err)
	}
	if s := second.summary(t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("second apply: changed %d, mutating requests %d", s.Changed, s.Mutating)
	}
}

// A control plane whose join fails holds up no other one.
func TestControlPlaneFailsAlone(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 4, ControlPlanes: 3})
	if err := f.Machine("h002").Break(fleet.Faults{Exit: map[string]int{"kubeadm join": 1}}); err != nil {
		t.Fatal(err)
	}
	var first record
	if err := apply(t.Context(), f, &first); err == nil {
		t.Fatal("an apply with a broken control plane ends well")
	}
	joins := first.ends("join")
	for _, want := range []string{"h002/join failed", "h003/join changed", "h004/join changed"} {
		if !slices.Contains(joins, want) {
			t.Errorf("joins %v lack %s", joins, want)
		}
	}
}

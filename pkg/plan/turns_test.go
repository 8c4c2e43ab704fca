package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// restart is what hosts tell when their kubelet has to be restarted.
func restart(hosts ...string) map[string][]spec.Change {
	out := map[string][]spec.Change{}
	for _, h := range hosts {
		out[h+"/kubelet-running"] = []spec.Change{{Resource: "unit kubelet.service running", Action: spec.Restart}}
	}
	return out
}

func TestNodesAreRestartedInTurns(t *testing.T) {
	t.Parallel()
	four := []string{"n1", "n2", "n3", "n4"}
	tests := []struct {
		name    string
		in      plan.Input
		changes map[string][]spec.Change
		workers int
		window  []string // steps in the window
		needs   []string // what steps need besides
	}{
		{name: "nothing is restarted", in: finished(), changes: map[string][]spec.Change{
			"n2/kubelet":    {{Resource: "file /etc/x", Action: spec.Update}},
			"n2/containerd": {{Resource: "unit containerd.service", Action: spec.Update}},
		}},
		{name: "workers", in: finished(), changes: restart("n2", "n3"), workers: 2,
			window: []string{"n2/kubelet-running", "n2/ready", "n3/kubelet-running", "n3/ready"}},
		{name: "a runtime", in: finished(), changes: map[string][]spec.Change{"n3/containerd": {{Resource: "unit containerd.service", Action: spec.Restart}}}, workers: 1,
			window: []string{"n3/containerd", "n3/kubelet", "n3/images", "n3/kubelet-running", "n3/ready"}},
		{name: "one that is not ready", in: func() plan.Input {
			in := finished()
			in.Live.Nodes[1].Ready = false
			return in
		}(), changes: restart("n2", "n3"), workers: 1, window: []string{"n3/kubelet-running", "n3/ready"}},
		{name: "control planes", in: planes(four...), changes: restart(four...), workers: 1,
			window: []string{"n4/kubelet-running", "n4/ready"}, needs: []string{"n2/kubelet-running: n1/ready", "n3/kubelet-running: n2/ready"}},
		{name: "control planes, the first one of which is new", in: func() plan.Input {
			in := planes(four...)
			in.Facts["n1"].Kubernetes.AdminConf, in.Facts["n1"].Kubernetes.KubeletConf = false, false
			in.Live.Nodes[0].Ready = false
			return in
		}(), changes: restart("n2", "n3"), needs: []string{"n3/kubelet-running: n2/ready"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Build(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, h := range tt.in.Cluster.ControlPlanes() {
				names = append(names, h.Name)
			}
			got, workers := plan.Turns(p.Steps, tt.changes, tt.in.Live.Nodes, names)
			if _, err := graph.New(got); err != nil {
				t.Errorf("the steps make no graph: %v", err)
			}
			var window, needs []string
			for i, s := range got {
				if s.Window != "" {
					window = append(window, s.ID)
				}
				for _, n := range s.Needs {
					if !slices.Contains(p.Steps[i].Needs, n) {
						needs = append(needs, s.ID+": "+n)
					}
				}
			}
			slices.Sort(window)
			slices.Sort(tt.window)
			if d := cmp.Diff(tt.window, window); d != "" || workers != tt.workers {
				t.Errorf("%d workers in the window, want %d (-want +got):\n%s", workers, tt.workers, d)
			}
			if d := cmp.Diff(tt.needs, needs); d != "" {
				t.Errorf("new needs (-want +got):\n%s", d)
			}
		})
	}
}

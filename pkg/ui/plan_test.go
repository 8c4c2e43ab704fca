package ui

import (
	"fmt"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/spec"
)

// somePlan is a plan for hosts n1, n2, ...: the same containerd on each, a
// kubelet file that differs on the first, kubeadm on the first, an object.
func somePlan(hosts int) PlanView {
	v := PlanView{Hosts: hosts}
	for i := range hosts {
		h := fmt.Sprintf("n%d", i+1)
		add := func(step, title string, c spec.Change) {
			v.Items = append(v.Items, PlanItem{Host: h, Step: h + "/" + step, Title: title, Change: c})
		}
		const install = "install containerd v2.4.2"
		add("containerd", install, spec.Change{Resource: "archive /usr/local", Action: spec.Create})
		add("containerd", install, spec.Change{
			Resource: "file /etc/containerd/config.toml", Action: spec.Update, Detail: "mode 0600 to 0644",
			Why:  "kubelet and containerd must use the same cgroup driver",
			Diff: "--- /etc/containerd/config.toml\n+++ /etc/containerd/config.toml\n@@ -1,2 +1,2 @@\n version = 3\n-SystemdCgroup = false\n+SystemdCgroup = true\n",
		})
		add("containerd", install, spec.Change{Resource: "unit containerd.service", Action: spec.Restart, Why: "/etc/containerd/config.toml changes"})
		ip := fmt.Sprintf("10.0.0.%d", i+1)
		add("kubelet", "configure kubelet", spec.Change{Resource: "file /etc/default/kubelet", Action: spec.Create, Diff: "+KUBELET_EXTRA_ARGS=--node-ip=" + ip + "\n"})
		add("kubelet", "configure kubelet", spec.Change{Resource: "swap", Action: spec.Stop, Detail: "zram0 is in use"})
		add("images", "import images", spec.Change{Resource: "image registry.k8s.io/pause:3.10.2", Action: spec.Import})
	}
	v.Items = append(v.Items,
		PlanItem{Host: "n1", Step: "n1/init", Title: "kubeadm init", Change: spec.Change{Resource: "command kubeadm init", Action: spec.Run}},
		PlanItem{Host: "n2", Step: "n2/join", Title: "join the cluster", Change: spec.Change{Resource: "command kubeadm join", Action: spec.Run, Pending: "known after kubeadm init"}},
		PlanItem{Step: "cluster/flannel", Title: "network: flannel v0.27.4", Change: spec.Change{Resource: "daemonset kube-flannel/kube-flannel-ds", Action: spec.Create, Pending: "known after the control plane is up"}},
	)
	return v
}

func upgradePlan() PlanView {
	return PlanView{
		Hosts:   2,
		Upgrade: &Upgrade{From: "v1.35.4", Path: []string{"v1.36.3", "v1.37.2"}, MaxUnavailable: 2},
		Items: []PlanItem{{Host: "n1", Step: "n1/upgrade", Title: "control plane v1.36.3",
			Change: spec.Change{Resource: "command kubeadm upgrade v1.36.3", Action: spec.Run}}},
	}
}

func TestPlanView(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		view PlanView
		o    Options
	}{
		{"plan", somePlan(3), Options{}},
		{"plan-color", somePlan(2), Options{Color: true}},
		{"plan-200", somePlan(200), Options{ASCII: true}},
		{"plan-inventory", withEdit(somePlan(1)), Options{}},
		{"plan-nothing", PlanView{Hosts: 3}, Options{}},
		{"plan-verbose", somePlan(5), Options{Verbose: true}},
		{"plan-upgrade", upgradePlan(), Options{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			if err := Plan(&b, tt.view, tt.o); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, b.String())
		})
	}
	var b strings.Builder
	v := somePlan(2)
	v.Items = v.Items[1:2]
	if err := PlanJSON(&b, v); err != nil {
		t.Fatal(err)
	}
	golden(t, "plan-json", b.String())
}

func TestHostList(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"n1 n2 n3", "n1 n2 n3"},
		{"n1 n2 n3 n4 n5 n6", "n[1-6]"},
		{"n8 n9 n10 n11 n13 gpu-08 gpu-09 gpu-10", "n[8-11,13] gpu-[08-10]"},
		{"a b c d e f", "a b c d e f"},
		{"r1.lab r2.lab r3.lab db r4.lab cp1", "r[1-4].lab db cp1"},
		{"n3 n1 n2 n5 n4 n9", "n[1-5,9]"},
	}
	for _, tt := range tests {
		if got := hostList(strings.Fields(tt.in)); got != tt.want {
			t.Errorf("hostList(%s) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// withEdit is a plan that the admin's inventory is written for.
func withEdit(v PlanView) PlanView {
	v.Inventory = &FileEdit{File: "lab.yaml", Lines: []string{"+ {name: n1, address: 10.0.0.1}"}}
	return v
}

package kubeadm_test

import (
	"slices"
	"testing"

	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	slow := input(t, "v1.37.2", 0, func(in *kubeadm.Input) { in.Host.TimeoutScale, in.Facts.OS.Container = 3, "lxc" })
	doc, err := kubeadm.UpgradeConfig(slow)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "upgrade-surprises.yaml", doc)
	first, err := kubeadm.Upgrade(input(t, "v1.37.2", 0, nil), true)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Golden(t, "upgrade-v1.37.2.yaml", first.Command.Inputs["config"])
	other, err := kubeadm.Upgrade(input(t, "v1.37.2", 1, nil), false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(first.Command.Argv, "apply") || !slices.Contains(first.Command.Argv, "--yes") || !slices.Contains(other.Command.Argv, "node") {
		t.Errorf("commands are %q and %q", first.Command.Argv, other.Command.Argv)
	}
	if first.ID != kubeadm.UpgradeID("v1.37.2") || len(first.Command.Unless)+len(first.Command.Recover) != 0 || !first.Command.EachRun {
		t.Errorf("guard of %s: %+v", first.ID, first.Command)
	}
}

func TestUpToDate(t *testing.T) {
	t.Parallel()
	at := func(api, scheduler, etcd string) map[string]string {
		out := map[string]string{
			"kube-apiserver":          "registry.k8s.io/kube-apiserver:" + api,
			"kube-controller-manager": "registry.k8s.io/kube-controller-manager:" + api,
			"kube-scheduler":          "registry.k8s.io/kube-scheduler:" + scheduler,
		}
		if etcd != "" {
			out["etcd"] = "registry.k8s.io/etcd:" + etcd
		}
		return out
	}
	for name, tt := range map[string]struct {
		components map[string]string
		want       bool
	}{
		"all":             {at("v1.37.2", "v1.37.2", "3.7.0-0"), true},
		"newer etcd":      {at("v1.37.2", "v1.37.2", "3.7.1-0"), true},
		"external etcd":   {at("v1.37.2", "v1.37.2", ""), true},
		"old":             {at("v1.36.3", "v1.36.3", "3.6.8-0"), false},
		"cut in between":  {at("v1.37.2", "v1.36.3", "3.7.0-0"), false},
		"old etcd":        {at("v1.37.2", "v1.37.2", "3.6.8-0"), false},
		"nothing is told": {nil, false},
	} {
		if got := kubeadm.UpToDate(tt.components, "v1.37.2", "3.7.0-0"); got != tt.want {
			t.Errorf("%s: UpToDate = %v", name, got)
		}
	}
}

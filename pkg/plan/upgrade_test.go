package plan_test

import (
	"errors"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/plan"
)

// runs makes hosts run a version: the control plane's components, the kubelet.
func runs(in plan.Input, components, kubelet string, names ...string) {
	etcd := map[string]string{"v1.35.4": "3.6.6-0", "v1.36.3": "3.6.8-0", "v1.37.1": "3.7.0-0", "v1.37.2": "3.7.0-0"}
	for _, name := range names {
		f := in.Facts[name]
		f.Kubernetes.KubeletVersion = kubelet
		f.Kubernetes.KubeletConf = true
		if f.Kubernetes.AdminConf {
			f.Kubernetes.Components = map[string]string{"etcd": "registry.k8s.io/etcd:" + etcd[components]}
			for _, c := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
				f.Kubernetes.Components[c] = "registry.k8s.io/" + c + ":" + components
			}
		}
		for i, n := range in.Live.Nodes {
			if n.Name == name {
				in.Live.Nodes[i].Kubelet = kubelet
			}
		}
	}
}

// at is a finished cluster of one control plane and two workers of a version.
func at(version string) plan.Input {
	in := finished()
	runs(in, version, version, "n1", "n2", "n3")
	return in
}

// three is a finished cluster of three control planes and a worker of a version.
func three(version string) plan.Input {
	in := planes("n1", "n2", "n3", "n4")
	runs(in, version, version, "n1", "n2", "n3", "n4")
	return in
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	tests := map[string]func() plan.Input{
		"minor": func() plan.Input { return at("v1.36.3") },
		"patch": func() plan.Input { return at("v1.37.1") },
		"there": func() plan.Input { return at("v1.37.2") },
		"three": func() plan.Input { return three("v1.36.3") },
		// The second was cut off in the middle of kubeadm; its kubelet is old.
		"three-cut-off": func() plan.Input {
			in := three("v1.36.3")
			runs(in, "v1.37.2", "v1.37.2", "n1")
			runs(in, "v1.37.2", "v1.36.3", "n2")
			in.Facts["n2"].Kubernetes.Interrupted = []string{kubeadm.UpgradeID("v1.37.2")}
			return in
		},
		// The control plane was cut off between kubelet and uncordon, one worker in
		// its command, and one cannot be reached.
		"cut-off": func() plan.Input {
			in := at("v1.37.2")
			in.Live.Nodes[0].Unschedulable = true
			runs(in, "", "v1.36.3", "n2")
			in.Facts["n2"].Kubernetes.Interrupted = []string{kubeadm.UpgradeID("v1.37.2")}
			return unreachable(in, "n3")
		},
		"skipping-a-worker": func() plan.Input { return skip(at("v1.36.3"), "n3") },
		"external-etcd": func() plan.Input {
			in := at("v1.36.3")
			delete(in.Facts["n1"].Kubernetes.Components, "etcd")
			return in
		},
	}
	for name, input := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := plan.Upgrade(input(), plan.UpgradeOptions{Last: true, DrainSeconds: 300, Snapshot: "before.db"})
			if err != nil {
				t.Fatal(err)
			}
			check(t, p)
			nodetest.Golden(t, "upgrade-"+name+".txt", []byte(transcript(p)))
		})
	}
	p, err := plan.Upgrade(at("v1.36.3"), plan.UpgradeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps { // workers go once, with the last version
		if s.Host == "n2" && s.ID != "n2/images" {
			t.Errorf("on the way, a worker has the step %s", s.ID)
		}
	}
}

func TestUpgradePath(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in         plan.Input
		from, path string
		wrong      []string
	}{
		"minor":  {in: at("v1.36.3"), from: "v1.36.3", path: "v1.37.2"},
		"two":    {in: at("v1.35.4"), from: "v1.35.4", path: "v1.36.3 v1.37.2"},
		"there":  {in: at("v1.37.2"), from: "v1.37.2"},
		"newer":  {in: at("v1.37.9"), from: "", wrong: []string{"no way back"}},
		"mixed":  {in: change(three("v1.36.3"), func(in plan.Input) { runs(in, "v1.37.2", "v1.37.2", "n1") }), from: "v1.36.3", path: "v1.37.2"},
		"worker": {in: change(at("v1.37.2"), func(in plan.Input) { runs(in, "", "v1.36.3", "n3") }), from: "v1.37.2", path: "v1.37.2"},
		"cut off": {in: change(at("v1.37.2"), func(in plan.Input) {
			in.Facts["n1"].Kubernetes.Interrupted = []string{kubeadm.UpgradeID("v1.37.2")}
		}), from: "v1.37.2", path: "v1.37.2"},
		"cordoned":        {in: change(at("v1.37.2"), func(in plan.Input) { in.Live.Nodes[2].Unschedulable = true }), from: "v1.37.2", path: "v1.37.2"},
		"beyond":          {in: change(three("v1.37.2"), func(in plan.Input) { runs(in, "v1.37.9", "v1.37.2", "n1") }), from: "v1.37.2", wrong: []string{"run v1.37.9 already"}},
		"too far apart":   {in: change(three("v1.35.4"), func(in plan.Input) { runs(in, "v1.37.2", "v1.37.2", "n1") }), from: "v1.35.4", path: "v1.36.3 v1.37.2", wrong: []string{"v1.35.4 to v1.37.2"}},
		"plane lost":      {in: unreachable(three("v1.36.3"), "n2"), wrong: []string{"needs all of them"}},
		"plane skipped":   {in: without(three("v1.36.3"), "n2"), wrong: []string{"was not asked for"}},
		"no cluster":      {in: bare(), wrong: []string{"has not joined"}},
		"kubelet too new": {in: change(at("v1.36.3"), func(in plan.Input) { runs(in, "", "v1.38.0", "n3") }), from: "v1.36.3", path: "v1.37.2", wrong: []string{"newer than v1.37.2"}},
		"kubelet too old": {in: change(at("v1.36.3"), func(in plan.Input) {
			in.Live.Nodes = append(in.Live.Nodes, plan.LiveNode{Name: "stray", Kubelet: "v1.33.1"})
		}), from: "v1.36.3", path: "v1.37.2", wrong: []string{"at most 3 minors older"}},
		"no manifest": {in: change(at("v1.36.3"), func(in plan.Input) { in.Facts["n1"].Kubernetes.Components = nil }), wrong: []string{"does not tell"}},
	}
	for name, tt := range tests {
		from, path, err := plan.UpgradePath(tt.in)
		if from != tt.from || strings.Join(path, " ") != tt.path || (err != nil) != (len(tt.wrong) > 0) {
			t.Errorf("%s: from %q, path %v, %v", name, from, path, err)
		}
		for _, w := range tt.wrong {
			if err == nil || !strings.Contains(err.Error(), w) || diag.KindOf(err) != diag.Preflight || diag.Hint(err) == "" {
				t.Errorf("%s: error %v, hint %q", name, err, diag.Hint(err))
			}
		}
	}
}

// without leaves a control plane out, of which facts are read all the same.
func without(in plan.Input, name string) plan.Input {
	in.Skipped = map[string]bool{name: true}
	return in
}

func change(in plan.Input, how func(plan.Input)) plan.Input {
	how(in)
	return in
}

// Versions change by upgrade alone.
func TestApplyChangesNoVersion(t *testing.T) {
	t.Parallel()
	for version, hint := range map[string]string{"v1.36.3": "kforge upgrade --plan", "v1.37.9": "no way back"} {
		_, err := plan.Build(at(version))
		if diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "the cluster runs Kubernetes "+version) || !strings.Contains(diag.Hint(err), hint) {
			t.Errorf("cluster of %s: %v; %s", version, err, diag.Hint(err))
		}
	}
	mixed := three("v1.37.2")
	runs(mixed, "v1.36.3", "v1.36.3", "n3")
	if _, err := plan.Build(mixed); diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "v1.36.3 to v1.37.2") || diag.Hint(err) != "finish it: kforge upgrade --to v1.37.2" {
		t.Errorf("half an upgrade: %v; %s", err, diag.Hint(err))
	}
	in := at("v1.37.2")
	runs(in, "", "v1.36.3", "n3")
	in.Facts["n2"].Kubernetes = facts.Kubernetes{KubeletVersion: "v1.36.3"} // left from before, not a node
	p, err := plan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	text := transcript(p)
	if strings.Count(text, "file /usr/local/bin/kubelet\n") != 2 || !strings.Contains(text, "note n3: its kubelet is v1.36.3 and stays so") {
		t.Errorf("plan\n%s", text)
	}
	if _, err := plan.Upgrade(bare(), plan.UpgradeOptions{}); diag.KindOf(err) != diag.Preflight {
		t.Errorf("an upgrade of nothing: %v", errors.Unwrap(err))
	}
}

package plan

import (
	"errors"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
)

// kubeletSkew is how many minors a kubelet may be behind the API server.
const kubeletSkew = 3

// UpgradePath gives the versions that the cluster goes through to that of
// in.Cluster, from what is observed: the oldest control plane begins. Each is
// planned by Upgrade when its turn comes. It is empty when all is there already.
// What must not be, by the rules of version skew, is an error of kind Preflight
// for each thing that is wrong.
func UpgradePath(in Input) (from string, path []string, err error) {
	const op = "plan upgrade"
	to := in.Cluster.Version
	var errs []error
	wrong := func(host, hint, format string, args ...any) {
		errs = append(errs, diag.New(diag.Preflight, op, format, args...).On(host).WithHint("%s", hint))
	}
	newest := ""
	for _, h := range in.Cluster.ControlPlanes() {
		f := in.Facts[h.Name]
		switch {
		case f == nil:
			wrong(h.Name, "make it reachable, or take it out of the cluster: kforge node remove --dead "+h.Name,
				"the control plane cannot be looked at, and an upgrade needs all of them")
			continue
		case !f.Kubernetes.AdminConf || kubeadm.HalfDone(f):
			wrong(h.Name, "run kforge apply first", "the control plane has not joined the cluster yet")
			continue
		}
		runs := PlaneVersion(f)
		if runs == "" {
			wrong(h.Name, "look at /etc/kubernetes/manifests/kube-apiserver.yaml on it: kubeadm writes an image with a version there",
				"its API server's manifest does not tell which version it runs")
			continue
		}
		if in.Skipped[h.Name] && inventory.CompareVersions(runs, to) < 0 {
			wrong(h.Name, "workers may be left out, control planes may not",
				"the control plane runs %s and was not asked for", runs)
		}
		if from == "" || inventory.CompareVersions(runs, from) < 0 {
			from = runs
		}
		if inventory.CompareVersions(runs, newest) > 0 {
			newest = runs
		}
	}
	if len(errs) > 0 {
		return "", nil, errors.Join(errs...)
	}
	if inventory.MinorsApart(from, newest) > 1 {
		wrong("", "bring the older ones up by hand, one minor at a time", "control planes run %s to %s: they may be one minor apart", from, newest)
	}
	if inventory.CompareVersions(from, to) <= 0 && inventory.CompareVersions(newest, to) > 0 {
		wrong("", "finish that upgrade: kforge upgrade --to "+newest, "control planes run %s already, newer than %s", newest, to)
	}
	if path, err = inventory.Path(from, to); err != nil {
		wrong("", "name another version: kforge upgrade --to VERSION", "%v", err)
		return "", nil, errors.Join(errs...)
	}
	oldest := skewed(in, wrong)
	if len(path) == 0 && (inventory.CompareVersions(oldest, to) < 0 || unfinished(in)) {
		path = []string{to} // of what an earlier run has not reached
	}
	return from, path, errors.Join(errs...)
}

// skewed looks at all kubelets, also of nodes that the run leaves alone, and gives
// the oldest version among those that it is about; "" for none.
func skewed(in Input, wrong func(host, hint, format string, args ...any)) (oldest string) {
	to := in.Cluster.Version
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil || in.Skipped[h.Name] || !f.Kubernetes.KubeletConf || f.Kubernetes.KubeletVersion == "" {
			continue
		}
		runs := withV(f.Kubernetes.KubeletVersion)
		if inventory.CompareVersions(runs, to) > 0 {
			wrong(h.Name, "name a version that is not older: kforge upgrade --to "+runs, "its kubelet is %s, newer than %s", runs, to)
		}
		if oldest == "" || inventory.CompareVersions(runs, oldest) < 0 {
			oldest = runs
		}
	}
	if in.Live == nil {
		return oldest
	}
	for _, n := range in.Live.Nodes {
		if n.Kubelet == "" || inventory.MinorsApart(n.Kubelet, to) <= kubeletSkew {
			continue
		}
		wrong(n.Name, "upgrade this node on the way: a smaller step first, kforge upgrade --to VERSION, with it among the hosts",
			"its kubelet is %s: API servers of %s work with kubelets that are at most %d minors older", n.Kubelet, to, kubeletSkew)
	}
	return oldest
}

// unfinished tells whether an upgrade was cut off: a part of a control plane is
// older than its API server, a command never ended, a node is still cordoned.
func unfinished(in Input) bool {
	to := in.Cluster.Version
	for _, h := range in.Cluster.Hosts {
		f := in.Facts[h.Name]
		if f == nil || in.Skipped[h.Name] {
			continue
		}
		if slices.Contains(f.Kubernetes.Interrupted, kubeadm.UpgradeID(to)) || in.cordoned(h.Name) {
			return true
		}
	}
	return slices.ContainsFunc(in.Cluster.ControlPlanes(), func(h inventory.ResolvedHost) bool {
		return !in.Skipped[h.Name] && !upgraded(in.Facts[h.Name], to, "")
	})
}

// upgraded tells whether a control plane's components are of a version at least.
func upgraded(f *facts.Host, version, etcdTag string) bool {
	return kubeadm.UpToDate(f.Kubernetes.Components, version, etcdTag) &&
		!slices.Contains(f.Kubernetes.Interrupted, kubeadm.UpgradeID(version))
}

func withV(version string) string { return "v" + strings.TrimPrefix(version, "v") }

// cordoned tells whether a node takes no pods: an earlier run may have ended
// before it let them in again.
func (in Input) cordoned(name string) bool {
	return in.Live != nil && slices.ContainsFunc(in.Live.Nodes, func(n LiveNode) bool { return n.Name == name && n.Unschedulable })
}

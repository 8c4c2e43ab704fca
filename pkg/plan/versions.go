package plan

import (
	"slices"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// Versions of Kubernetes change by upgrade alone, in its order and behind its
// gates. What is there already keeps its version until then.

// PlaneVersion is what a control plane runs, by the manifest of its API server;
// "" when it runs none or that does not tell.
func PlaneVersion(f *facts.Host) string {
	return kubeadm.Tag(f.Kubernetes.Components["kube-apiserver"])
}

// sameVersion refuses a plan for a version that the control planes do not run.
func sameVersion(in Input) error {
	oldest, newest := "", ""
	for _, h := range in.Cluster.ControlPlanes() {
		f := in.Facts[h.Name]
		if f == nil || !f.Kubernetes.AdminConf || kubeadm.HalfDone(f) {
			continue
		}
		runs := PlaneVersion(f)
		if runs == "" {
			continue
		}
		if oldest == "" || inventory.CompareVersions(runs, oldest) < 0 {
			oldest = runs
		}
		if inventory.CompareVersions(runs, newest) > 0 {
			newest = runs
		}
	}
	want := in.Cluster.Version
	finish := "kforge upgrade --to " + newest
	switch {
	case oldest == "" || oldest == want && newest == want:
		return nil
	case oldest != newest:
		return diag.New(diag.Invalid, "plan", "an upgrade is not finished: control planes run Kubernetes %s to %s", oldest, newest).
			WithHint("finish it: %s", finish)
	}
	err := diag.New(diag.Invalid, "plan", "the cluster runs Kubernetes %s and the inventory says %s: apply changes no versions", oldest, want)
	if inventory.CompareVersions(newest, want) > 0 {
		return err.WithHint("there is no way back to an older version: %s finishes an upgrade and writes the version into the inventory", finish)
	}
	return err.WithHint("kforge upgrade --plan shows the way there; or write version: %s into the inventory", oldest)
}

// keepsVersion tells whether a node's kubelet is of another version than the
// inventory's, as after an upgrade that did not reach it: it stays so.
func (h *host) keepsVersion(version string) bool {
	runs := h.facts.Kubernetes.KubeletVersion
	return h.joined() && runs != "" && inventory.CompareVersions(runs, version) != 0
}

// binaries are the paths of what has the version of Kubernetes.
var binaries = []string{node.KubeletBinary, node.KubeadmBinary, node.KubectlBinary}

// without leaves out the files at some paths, only leaves out all else.
func without(resources []spec.Resource, paths ...string) []spec.Resource {
	return slices.DeleteFunc(slices.Clone(resources), func(r spec.Resource) bool {
		return r.File != nil && slices.Contains(paths, r.File.Path)
	})
}

func only(resources []spec.Resource, paths ...string) []spec.Resource {
	return slices.DeleteFunc(slices.Clone(resources), func(r spec.Resource) bool {
		return r.File == nil || !slices.Contains(paths, r.File.Path)
	})
}

package addon

import (
	"encoding/json"
	"fmt"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// WorkerLabel is the role that kubectl shows; kubeadm sets only that of control
// planes.
const WorkerLabel = "node-role.kubernetes.io/worker"

// Labels gives the labels of a host's Node, merged into those it has. ok is
// false when there is none.
func Labels(h inventory.ResolvedHost) (object spec.Object, ok bool, err error) {
	labels := map[string]string{}
	for key, value := range h.Labels {
		labels[key] = value
	}
	if h.Worker() {
		labels[WorkerLabel] = ""
	}
	if len(labels) == 0 {
		return spec.Object{}, false, nil
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": h.Name, "labels": labels},
	})
	if err != nil {
		return spec.Object{}, false, fmt.Errorf("write labels of node %s: %w", h.Name, err)
	}
	return spec.Object{Manifest: manifest, Why: "labels of the inventory", Merge: true}, true, nil
}

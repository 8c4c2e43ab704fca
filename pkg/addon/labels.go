package addon

import (
	"encoding/json"
	"fmt"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Labels by which kubectl shows a node's roles, and by which workloads find
// control planes. The latter is the key of a taint too.
const (
	WorkerLabel       = "node-role.kubernetes.io/worker"
	ControlPlaneLabel = "node-role.kubernetes.io/control-plane"
)

// Labels gives the roles, labels and taints of a host's Node, merged into those
// that others gave it. It is there for every host, though it may name nothing:
// what kforge gave the node before and the inventory no longer names goes away.
func Labels(h inventory.ResolvedHost) (spec.Object, error) {
	labels := map[string]string{}
	for key, value := range h.Labels {
		labels[key] = value
	}
	if h.ControlPlane() {
		labels[ControlPlaneLabel] = ""
	}
	if h.Worker() {
		labels[WorkerLabel] = ""
	}
	taints := []inventory.Taint{}
	if h.ControlPlane() && !h.Worker() {
		taints = append(taints, inventory.Taint{Key: ControlPlaneLabel, Effect: "NoSchedule"})
	}
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{"name": h.Name, "labels": labels},
		"spec":     map[string]any{"taints": append(taints, h.Taints...)},
	})
	if err != nil {
		return spec.Object{}, fmt.Errorf("write labels of node %s: %w", h.Name, err)
	}
	return spec.Object{Manifest: manifest, Why: "roles, labels and taints of the inventory", Merge: true}, nil
}

package kube

import (
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kforge.dev/kforge/pkg/diag"
)

// Taints of a node form one atomic list to server-side apply: owning it would
// drop the taints that controllers put there (not-ready, disk-pressure), again
// and again. So they are taken out of what is applied and merged by hand, and
// which of them are kforge's is written on the node itself.

// taintsAnnotation lists the taints that kforge gave a node, as "key:effect".
const taintsAnnotation = "kforge.dev/taints"

// roleTaint follows from the roles that the inventory gives a host, so it is
// kforge's to take away, whoever put it there.
const roleTaint = "node-role.kubernetes.io/control-plane:NoSchedule"

// takeTaints takes spec.taints out of a Node's manifest; named tells whether it
// was there, if only as an empty list.
func takeTaints(node *unstructured.Unstructured) (taints []any, named bool, err error) {
	if node.GetKind() != "Node" || node.GetAPIVersion() != "v1" {
		return nil, false, nil
	}
	taints, named, err = unstructured.NestedSlice(node.Object, "spec", "taints")
	if err != nil {
		return nil, false, diag.Wrap(diag.Invalid, "read manifest of "+title(node), err)
	}
	unstructured.RemoveNestedField(node.Object, "spec", "taints")
	if rest, _, _ := unstructured.NestedMap(node.Object, "spec"); len(rest) == 0 {
		unstructured.RemoveNestedField(node.Object, "spec")
	}
	return taints, named, nil
}

// mergeTaints puts the wanted taints among those of the live node and takes
// away those that kforge gave it before and that are no longer wanted. It shows
// the outcome in after and gives the patch, nil when all is as it should be.
func mergeTaints(live, after *unstructured.Unstructured, wanted []any) ([]byte, error) {
	op := "compare " + title(after)
	all, _, err := unstructured.NestedSlice(live.Object, "spec", "taints")
	if err != nil {
		return nil, diag.Wrap(diag.Cluster, op, err)
	}
	recorded := ownTaints(live)
	var own []string
	changed := false
	for _, w := range wanted {
		taint, ok := w.(map[string]any)
		if !ok {
			return nil, diag.New(diag.Invalid, op, "a taint is not a mapping")
		}
		own = append(own, taintName(taint))
		at := findTaint(all, taintName(taint))
		switch {
		case at < 0:
			all, changed = append(all, taint), true
		case text(all[at].(map[string]any)["value"]) != text(taint["value"]):
			all[at], changed = taint, true
		}
	}
	for _, name := range append(slices.Clone(recorded), roleTaint) {
		if at := findTaint(all, name); at >= 0 && !slices.Contains(own, name) {
			all, changed = slices.Delete(all, at, at+1), true
		}
	}
	slices.Sort(own)
	if !changed && slices.Equal(own, recorded) {
		return nil, nil
	}
	var note any // null takes the annotation away
	unstructured.RemoveNestedField(after.Object, "metadata", "annotations", taintsAnnotation)
	if len(own) > 0 {
		raw, err := json.Marshal(own)
		if err != nil {
			return nil, diag.Wrap(diag.Internal, op, err)
		}
		note = string(raw)
		if err := unstructured.SetNestedField(after.Object, string(raw), "metadata", "annotations", taintsAnnotation); err != nil {
			return nil, diag.Wrap(diag.Internal, op, err)
		}
	}
	unstructured.RemoveNestedField(after.Object, "spec", "taints")
	if len(all) > 0 {
		if err := unstructured.SetNestedSlice(after.Object, all, "spec", "taints"); err != nil {
			return nil, diag.Wrap(diag.Internal, op, err)
		}
	}
	// Taints and the record of them change together or not at all, and only if
	// nobody changed the node in between.
	raw, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": live.GetResourceVersion(),
			"annotations":     map[string]any{taintsAnnotation: note},
		},
		"spec": map[string]any{"taints": all},
	})
	if err != nil {
		return nil, diag.Wrap(diag.Internal, op, err)
	}
	return raw, nil
}

// ownTaints reads, sorted, the names of the taints that kforge gave a node. An
// annotation that somebody spoilt names none: taints then stay.
func ownTaints(node *unstructured.Unstructured) []string {
	var names []string
	if err := json.Unmarshal([]byte(node.GetAnnotations()[taintsAnnotation]), &names); err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// taintName tells taints of a node apart: there is one of a key and effect.
func taintName(taint map[string]any) string { return text(taint["key"]) + ":" + text(taint["effect"]) }

func findTaint(all []any, name string) int {
	return slices.IndexFunc(all, func(t any) bool {
		taint, ok := t.(map[string]any)
		return ok && taintName(taint) == name
	})
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

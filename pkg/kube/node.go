package kube

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

var nodes = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}

// cordonedBy marks a node that kforge cordoned, so that a later run knows that it
// may uncordon it: a cordon without the mark is somebody else's.
const cordonedBy = "kforge.dev/cordoned"

// Why Node objects are deleted.
const (
	notJoined = "its host has not joined"
	leaves    = "its host leaves the cluster"
)

// node gives a Node, nil when there is none.
func (c *Cluster) node(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	u, err := c.dynamic.Resource(nodes).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return u, apiError(ctx, "look for node "+name, err)
}

func deleteChange(name, why string) spec.Change {
	return spec.Change{Resource: "Node " + name, Action: spec.Delete, Why: why}
}

// deleteNode deletes a Node that exists. One that came back under the same name
// meanwhile is another object and stays.
func (c *Cluster) deleteNode(ctx context.Context, name, why string, did func(spec.Change)) error {
	node, err := c.node(ctx, name)
	if err != nil || node == nil {
		return err
	}
	uid := node.GetUID()
	err = c.dynamic.Resource(nodes).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) {
		return apiError(ctx, "delete node "+name, err)
	}
	did(deleteChange(name, why))
	return nil
}

func cordonChange(name string) spec.Change {
	return spec.Change{Resource: "Node " + name, Action: spec.Update, Detail: "cordon", Why: "no new pods come to it"}
}

func uncordonChange(name string) spec.Change {
	return spec.Change{Resource: "Node " + name, Action: spec.Update, Detail: "uncordon", Why: "pods may come to it again"}
}

func unschedulable(node *unstructured.Unstructured) bool {
	is, _, _ := unstructured.NestedBool(node.Object, "spec", "unschedulable")
	return is
}

// ourCordon tells whether kforge cordoned the node.
func ourCordon(node *unstructured.Unstructured) bool {
	return node.GetAnnotations()[cordonedBy] != ""
}

// cordon keeps new pods off a node, and marks it as ours when nobody else had
// done so before.
func (c *Cluster) cordon(ctx context.Context, node *unstructured.Unstructured, did func(spec.Change)) error {
	if unschedulable(node) {
		return nil
	}
	if err := c.setUnschedulable(ctx, node, true, "true"); err != nil {
		return apiError(ctx, "cordon node "+node.GetName(), err)
	}
	did(cordonChange(node.GetName()))
	return nil
}

func (c *Cluster) uncordon(ctx context.Context, name string, did func(spec.Change)) error {
	node, err := c.node(ctx, name)
	if err != nil || node == nil || !ourCordon(node) {
		return err
	}
	if err := c.setUnschedulable(ctx, node, nil, nil); err != nil {
		return apiError(ctx, "uncordon node "+name, err)
	}
	did(uncordonChange(name))
	return nil
}

// setUnschedulable sets field and mark together; nil removes them. The uid keeps
// it off another node of the same name.
func (c *Cluster) setUnschedulable(ctx context.Context, node *unstructured.Unstructured, value, mark any) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.GetUID(), "annotations": map[string]any{cordonedBy: mark}},
		"spec":     map[string]any{"unschedulable": value},
	})
	if err != nil {
		return diag.Wrap(diag.Internal, "encode patch", err)
	}
	_, err = c.dynamic.Resource(nodes).Patch(ctx, node.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	return err
}

// planNodes tells what draining and deleting would change.
func (c *Cluster) planNodes(ctx context.Context, w spec.KubeWork) ([]spec.Change, error) {
	var changes []spec.Change
	for _, d := range w.Drain {
		t, err := c.drainage(ctx, d)
		if err != nil {
			return nil, err
		}
		changes = append(changes, t.changes()...)
	}
	for _, name := range w.DeleteNodes {
		node, err := c.node(ctx, name)
		if err != nil {
			return nil, err
		}
		if node != nil {
			changes = append(changes, deleteChange(name, leaves))
		}
	}
	return changes, nil
}

// planUncordon tells of nodes that are, or by then will be, cordoned by us.
func (c *Cluster) planUncordon(ctx context.Context, w spec.KubeWork) ([]spec.Change, error) {
	var changes []spec.Change
	for _, name := range w.Uncordon {
		node, err := c.node(ctx, name)
		if err != nil {
			return nil, err
		}
		drained := false
		for _, d := range w.Drain {
			drained = drained || d.Node == name
		}
		if node != nil && (ourCordon(node) || drained && !unschedulable(node)) {
			changes = append(changes, uncordonChange(name))
		}
	}
	return changes, nil
}

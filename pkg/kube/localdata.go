package kube

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"kforge.dev/kforge/pkg/diag"
)

// LocalVolume is a volume in use whose data lie on one node and nowhere else.
type LocalVolume struct {
	Name  string
	Claim string // namespace/name
	// Replica tells that the controller of the pod that uses it has another pod
	// that is ready on another node: the data are taken to be there too. Without
	// one this is the last copy that the cluster knows of.
	Replica bool
}

// LocalVolumes gives the volumes in use that no other node can mount: local ones
// and those bound by a topology of their own, and host paths of pods on the node.
func (c *Cluster) LocalVolumes(ctx context.Context, name string) ([]LocalVolume, error) {
	op := "look for local data of node " + name
	volumes, err := listAll[corev1.PersistentVolume](ctx, c, "persistentvolumes")
	if err != nil || len(volumes) == 0 {
		return nil, apiError(ctx, op, err)
	}
	allNodes, err := listAll[corev1.Node](ctx, c, "nodes")
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	allPods, err := listAll[corev1.Pod](ctx, c, "pods")
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	var out []LocalVolume
	for _, v := range volumes {
		ref := v.Spec.ClaimRef
		if ref == nil || v.Status.Phase != "" && v.Status.Phase != corev1.VolumeBound {
			continue
		}
		users := usersOf(allPods, ref.Namespace, ref.Name)
		here, err := onlyOn(&v, name, allNodes, users)
		if err != nil {
			return nil, diag.Wrap(diag.Cluster, op, err)
		}
		if here {
			out = append(out, LocalVolume{Name: v.Name, Claim: ref.Namespace + "/" + ref.Name, Replica: elsewhere(users, allPods, name)})
		}
	}
	return out, nil
}

func listAll[T any](ctx context.Context, c *Cluster, resource string) ([]T, error) {
	list, err := c.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	out := make([]T, len(list.Items))
	for i, u := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// usersOf gives the pods that mount a claim.
func usersOf(all []corev1.Pod, namespace, claim string) []corev1.Pod {
	var out []corev1.Pod
	for _, p := range all {
		if p.Namespace == namespace && slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		}) {
			out = append(out, p)
		}
	}
	return out
}

// onlyOn tells whether a volume can be mounted on this node and on no other. A
// host path says nothing of nodes: it is where its pods run.
func onlyOn(v *corev1.PersistentVolume, name string, all []corev1.Node, users []corev1.Pod) (bool, error) {
	if v.Spec.NodeAffinity == nil || v.Spec.NodeAffinity.Required == nil {
		return v.Spec.HostPath != nil && slices.ContainsFunc(users, func(p corev1.Pod) bool { return p.Spec.NodeName == name }), nil
	}
	selector, err := nodeaffinity.NewNodeSelector(v.Spec.NodeAffinity.Required)
	if err != nil {
		return false, err
	}
	here := false
	for _, n := range all {
		switch {
		case !selector.Match(&n):
		case n.Name != name:
			return false, nil
		default:
			here = true
		}
	}
	return here, nil
}

// elsewhere tells whether a controller of these pods has a ready one on another
// node.
func elsewhere(users, all []corev1.Pod, name string) bool {
	return slices.ContainsFunc(users, func(u corev1.Pod) bool {
		owner := metav1.GetControllerOf(&u)
		return owner != nil && slices.ContainsFunc(all, func(p corev1.Pod) bool {
			other := metav1.GetControllerOf(&p)
			return other != nil && other.UID == owner.UID && p.Spec.NodeName != name && p.Spec.NodeName != "" && p.DeletionTimestamp == nil && judgePod(&p).ready
		})
	})
}

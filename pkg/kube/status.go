package kube

import (
	"context"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/spec"
)

// Unready tells why the API server is not ready, by its own account; "" when it
// is.
func (c *Cluster) Unready(ctx context.Context) (string, error) { return c.probe(ctx) }

// Looked tells of objects whether they are ready now, one request each; it waits
// for nothing.
func (c *Cluster) Looked(ctx context.Context, all []spec.Ready) ([]live.Object, error) {
	out := make([]live.Object, len(all))
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() { out[i], errs[i] = c.lookedAt(ctx, r) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *Cluster) lookedAt(ctx context.Context, r spec.Ready) (live.Object, error) {
	o := live.Object{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
	op := "look at " + r.Kind + " " + r.Name
	rule, ok := readinessOf[r.Kind]
	if !ok {
		return o, diag.New(diag.Internal, op, "there is no rule for kind %q", r.Kind)
	}
	u, err := c.at(rule.resource, r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		o.State = rule.absent
		return o, nil
	}
	if err != nil {
		return o, apiError(ctx, op, err)
	}
	v, err := rule.judge(u)
	if err != nil {
		return o, diag.Wrap(diag.Cluster, op, err)
	}
	o.Ready, o.State, o.Image = v.ready, v.state, firstImage(u)
	if !v.ready {
		o.State = strings.Join(append([]string{v.state}, c.troubles(ctx, r.Namespace, v.pods)...), "; ")
	}
	return o, nil
}

// firstImage of an object's pods.
func firstImage(u *unstructured.Unstructured) string {
	containers, _, err := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	if err != nil || len(containers) == 0 {
		return ""
	}
	container, ok := containers[0].(map[string]any)
	if !ok {
		return ""
	}
	image, _, err := unstructured.NestedString(container, "image")
	if err != nil {
		return ""
	}
	return image
}

// mirrorPod marks the API's picture of a pod that a kubelet has from a file.
const mirrorPod = "kubernetes.io/config.mirror"

// StaticPods gives those of kube-system: the control plane's components and the
// nodes' load balancers, by name and node.
func (c *Cluster) StaticPods(ctx context.Context) ([]live.StaticPod, error) {
	const op = "list static pods"
	list, err := c.at(corev1.SchemeGroupVersion.WithResource("pods"), "kube-system").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	var out []live.StaticPod
	for _, u := range list.Items {
		if u.GetAnnotations()[mirrorPod] == "" {
			continue
		}
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
			return nil, diag.Wrap(diag.Cluster, op, err)
		}
		v := judgePod(&p)
		s := live.StaticPod{Name: strings.TrimSuffix(p.Name, "-"+p.Spec.NodeName), Node: p.Spec.NodeName, Ready: v.ready, State: v.state}
		if len(p.Spec.Containers) > 0 {
			s.Image = p.Spec.Containers[0].Image
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b live.StaticPod) int {
		if n := strings.Compare(a.Name, b.Name); n != 0 {
			return n
		}
		return strings.Compare(a.Node, b.Node)
	})
	return out, nil
}

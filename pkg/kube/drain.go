package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// kubectl's own library for this would bring 130 packages (kustomize, gettext,
// printers) for what the eviction API does in one request per pod.

var pods = corev1.SchemeGroupVersion.WithResource("pods")

const defaultDrainTimeout = 5 * time.Minute

// drainage is what a drain would do to one node.
type drainage struct {
	drain spec.Drain
	node  *unstructured.Unstructured // nil when there is none
	evict []leaver
	going []leaver // are ending already
}

// leaver is a pod that has to leave its node.
type leaver struct {
	namespace, name string
	uid             types.UID
	emptyDir        bool
	managed         bool
}

func (l leaver) String() string { return l.namespace + "/" + l.name }

// drainage looks at a node and its pods. A pod that would be lost is an error.
func (c *Cluster) drainage(ctx context.Context, d spec.Drain) (*drainage, error) {
	node, err := c.node(ctx, d.Node)
	t := &drainage{drain: d, node: node}
	if err != nil || node == nil || d.CordonOnly {
		return t, err
	}
	list, err := c.dynamic.Resource(pods).List(ctx, onNode(d.Node))
	if err != nil {
		return nil, apiError(ctx, "list the pods of node "+d.Node, err)
	}
	var lost []string
	for _, u := range list.Items {
		var p corev1.Pod
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
			return nil, diag.Wrap(diag.Cluster, "read pod "+u.GetName(), err)
		}
		if stays(&p) {
			continue
		}
		l := leaver{p.Namespace, p.Name, p.UID, hasEmptyDir(&p), metav1.GetControllerOf(&p) != nil}
		switch {
		case p.DeletionTimestamp != nil:
			t.going = append(t.going, l)
		case !l.managed && !d.Force:
			lost = append(lost, l.String())
		default:
			t.evict = append(t.evict, l)
		}
	}
	if len(lost) > 0 {
		return nil, diag.New(diag.Foreign, "drain node "+d.Node, "no controller would bring these pods back elsewhere: %s", strings.Join(lost, ", ")).
			WithHint("delete them yourself when nobody needs them, or force it: they are gone for good then")
	}
	return t, nil
}

func onNode(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: "spec.nodeName=" + name}
}

// stays tells whether a pod is left where it is: the kubelet's own (static pods),
// a DaemonSet's, which would be back at once, and one that has ended.
func stays(p *corev1.Pod) bool {
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	if owner := metav1.GetControllerOf(p); owner != nil && owner.Kind == "DaemonSet" {
		return true
	}
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func hasEmptyDir(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.EmptyDir != nil })
}

func (t *drainage) changes() []spec.Change {
	if t.node == nil {
		return nil
	}
	var out []spec.Change
	if !unschedulable(t.node) {
		out = append(out, cordonChange(t.drain.Node))
	}
	for _, l := range t.evict {
		out = append(out, evictChange(l, t.drain.Node))
	}
	return out
}

func evictChange(l leaver, node string) spec.Change {
	c := spec.Change{Resource: "Pod " + l.String(), Action: spec.Delete, Why: "node " + node + " is drained"}
	var what []string
	if !l.managed {
		what = append(what, "no controller brings it back")
	}
	if l.emptyDir {
		what = append(what, "what is in its emptyDir volumes is lost")
	}
	c.Detail = strings.Join(what, "; ")
	return c
}

// drainAll drains nodes side by side and gives all errors.
func (c *Cluster) drainAll(ctx context.Context, drains []spec.Drain, tell func(Event), did func(spec.Change)) error {
	var mu sync.Mutex
	note := func(ch spec.Change) {
		mu.Lock()
		defer mu.Unlock()
		did(ch)
	}
	errs := make([]error, len(drains))
	var wg sync.WaitGroup
	for i, d := range drains {
		wg.Go(func() { errs[i] = c.drainNode(ctx, d, tell, note) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Cluster) drainNode(ctx context.Context, d spec.Drain, tell func(Event), did func(spec.Change)) error {
	t, err := c.drainage(ctx, d)
	if err != nil || t.node == nil {
		return err
	}
	if err := c.cordon(ctx, t.node, did); err != nil {
		return err
	}
	timeout := defaultDrainTimeout
	if d.TimeoutSeconds > 0 {
		timeout = time.Duration(d.TimeoutSeconds) * time.Second
	}
	deadline, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	held := make([]string, len(t.evict)) // why a pod was not evicted, last seen
	errs := make([]error, len(t.evict))
	var wg sync.WaitGroup
	for i, l := range t.evict {
		wg.Go(func() {
			held[i], errs[i] = c.evict(deadline, l, tell)
			if held[i] == "" && errs[i] == nil {
				did(evictChange(l, d.Node))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	held = slices.DeleteFunc(held, func(s string) bool { return s == "" })
	var left []string
	if len(held) == 0 {
		if left, err = c.awaitGone(deadline, d.Node, append(t.evict, t.going...)); err != nil && deadline.Err() == nil {
			return apiError(ctx, "drain node "+d.Node, err)
		}
	}
	switch {
	case len(held) == 0 && len(left) == 0:
		return nil
	case ctx.Err() != nil:
		return diag.Wrap(diag.KindOf(ctx.Err()), "drain node "+d.Node, context.Cause(ctx))
	}
	// Not of kind timeout: another attempt would only wait as long again.
	return diag.New(diag.Cluster, "drain node "+d.Node, "not empty after %s: %s", timeout, strings.Join(append(held, left...), "; ")).
		WithHint("look at the pods and at kubectl get pdb -A, give it longer, or delete the pods yourself; the node stays cordoned (kubectl uncordon %s)", d.Node)
}

package kube

import (
	"context"
	"encoding/json"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// difference is an object that is not as it should be, and the requests that
// make it so.
type difference struct {
	resource dynamic.ResourceInterface
	name     string
	live     *unstructured.Unstructured // nil when it is to be created
	apply    []byte                     // server-side apply, nil for none
	taints   []byte                     // merge patch of a node's taints, nil for none
	change   spec.Change
}

// compare asks the API server what applying u would give (a dry run, which
// changes nothing) and compares that with what is. nil means equal.
func (c *Cluster) compare(ctx context.Context, o spec.Object, u *unstructured.Unstructured) (*difference, error) {
	op := "compare " + title(u)
	resource, err := c.resource(u)
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	d := &difference{resource: resource, name: u.GetName()}
	d.live, err = resource.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		d.live, err = nil, nil
	}
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	want := u.DeepCopy()
	var taints []any
	decided := false // about taints
	if o.Merge {
		if d.live == nil {
			return nil, diag.New(diag.NotFound, op, "it does not exist, and what belongs to somebody else is not created").
				WithHint("wait for its owner to make it: a Node appears when its host has joined")
		}
		// With the uid in it the API server refuses to create the object, should
		// it vanish between here and there.
		want.SetUID(d.live.GetUID())
		if taints, decided, err = takeTaints(want); err != nil {
			return nil, err
		}
	}
	patch, err := json.Marshal(want.Object)
	if err != nil {
		return nil, diag.Wrap(diag.Internal, op, err)
	}
	after, err := resource.Patch(ctx, u.GetName(), types.ApplyPatchType, patch, applyOptions(true))
	if err != nil {
		return nil, apiError(ctx, op, err)
	}
	if d.live == nil || !equal(d.live, after) {
		d.apply = patch
	}
	if decided {
		if d.taints, err = mergeTaints(d.live, after, taints); err != nil {
			return nil, err
		}
	}
	if d.apply == nil && d.taints == nil {
		return nil, nil
	}
	d.change, err = objectChange(o, d.live, after)
	return d, err
}

func objectChange(o spec.Object, live, after *unstructured.Unstructured) (spec.Change, error) {
	text, err := diff(live, after)
	if err != nil {
		return spec.Change{}, err
	}
	change := spec.Change{Resource: title(after), Action: spec.Update, Why: o.Why, Diff: text}
	if live == nil {
		change.Action = spec.Create
	}
	return change, nil
}

func applyOptions(dry bool) metav1.PatchOptions {
	force := true
	o := metav1.PatchOptions{FieldManager: fieldManager, Force: &force}
	if dry {
		o.DryRun = []string{metav1.DryRunAll}
	}
	return o
}

// send makes the difference go away. Taints come first: their patch holds only
// for the very version of the node that was compared.
func (d *difference) send(ctx context.Context) error {
	op := d.change.Resource
	if d.taints != nil {
		_, err := d.resource.Patch(ctx, d.name, types.MergePatchType, d.taints, metav1.PatchOptions{FieldManager: fieldManager})
		if err != nil {
			return apiError(ctx, "taint "+op, err)
		}
	}
	if d.apply != nil {
		_, err := d.resource.Patch(ctx, d.name, types.ApplyPatchType, d.apply, applyOptions(false))
		if err != nil {
			return apiError(ctx, "apply "+op, err)
		}
	}
	return nil
}

// resource finds where the API serves an object, and completes its namespace.
// Discovery is cached; an unknown kind asks once more.
func (c *Cluster) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	m, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		m, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() != meta.RESTScopeNameNamespace {
		u.SetNamespace("")
		return c.dynamic.Resource(m.Resource), nil
	}
	if u.GetNamespace() == "" {
		u.SetNamespace(metav1.NamespaceDefault)
	}
	return c.dynamic.Resource(m.Resource).Namespace(u.GetNamespace()), nil
}

// servedWithin is how long a new CustomResourceDefinition may take until its
// kind is served.
const servedWithin = 30 * time.Second

// awaitKind waits for the API to serve an object's kind. It is asked for by
// discovery, which has no watch.
func (c *Cluster) awaitKind(ctx context.Context, u *unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, servedWithin)
	defer cancel()
	ticker := time.NewTicker(c.pace)
	defer ticker.Stop()
	for {
		_, err := c.resource(u)
		if !meta.IsNoMatchError(err) {
			return apiError(ctx, "find the kind of "+title(u), err)
		}
		select {
		case <-ctx.Done():
			return apiError(context.WithoutCancel(ctx), "find the kind of "+title(u), err)
		case <-ticker.C:
		}
	}
}

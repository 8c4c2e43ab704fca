package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// Plan tells what Apply would change. It sends no mutating request: objects are
// compared by dry run. What cannot be compared before an earlier step is done
// (its namespace, kind or node does not exist yet) is told as pending.
func (c *Cluster) Plan(ctx context.Context, w spec.KubeWork) ([]spec.Change, error) {
	var changes []spec.Change
	for _, name := range w.ForgetNodes {
		node, err := c.node(ctx, name)
		if err != nil {
			return nil, err
		}
		if node != nil {
			changes = append(changes, deleteChange(name, notJoined))
		}
	}
	nodes, err := c.planNodes(ctx, w)
	if err != nil {
		return nil, err
	}
	changes = append(changes, nodes...)
	err = eachObject(w.Objects, func(o spec.Object, u *unstructured.Unstructured) error {
		d, err := c.compare(ctx, o, u)
		if why := pending(u, err); why != "" {
			change, err := objectChange(o, nil, u)
			if o.Merge {
				change.Action = spec.Update
			}
			change.Pending = why
			changes = append(changes, change)
			return err
		}
		if err == nil && d != nil {
			changes = append(changes, d.change)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.Endpoint != "" {
		more, err := c.planEndpoint(ctx, w.Endpoint)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	if w.KubeadmImages != nil {
		more, err := c.planKubeadmImages(ctx, *w.KubeadmImages)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	if w.JoinToken != nil {
		changes = append(changes, tokenChange(*w.JoinToken, ""))
	}
	uncordon, err := c.planUncordon(ctx, w)
	return append(changes, uncordon...), err
}

// pending says what has to come before an object can be compared, "" for nothing.
func pending(u *unstructured.Unstructured, err error) string {
	switch {
	case meta.IsNoMatchError(err):
		return fmt.Sprintf("the cluster does not serve kind %s yet", u.GetKind())
	case diag.KindOf(err) == diag.NotFound && u.GetKind() == "Node":
		return fmt.Sprintf("node %s has not joined yet", u.GetName())
	case diag.KindOf(err) == diag.NotFound && u.GetNamespace() != "":
		return fmt.Sprintf("namespace %s does not exist yet", u.GetNamespace())
	}
	return ""
}

// Apply does the work in the order that spec.KubeWork tells. sink may be nil and
// is never called concurrently. Changes made before an error, and values known
// by then, are returned with it.
func (c *Cluster) Apply(ctx context.Context, w spec.KubeWork, sink func(Event)) (changes []spec.Change, values map[string]string, err error) {
	var mu sync.Mutex
	tell := func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if sink != nil {
			sink(e)
		}
	}
	did := func(change spec.Change) {
		changes = append(changes, change)
		tell(Event{Message: past(change.Action) + " " + change.Resource, Change: &change})
	}
	ctx = context.WithValue(ctx, sinkKey{}, tell)

	if w.WaitAPI {
		if err := c.waitAPI(ctx, w.WaitAPISeconds, tell); err != nil {
			return changes, values, err
		}
	}
	for _, name := range w.ForgetNodes {
		if err := c.deleteNode(ctx, name, notJoined, did); err != nil {
			return changes, values, err
		}
	}
	if err := c.drainAll(ctx, w.Drain, tell, did); err != nil {
		return changes, values, err
	}
	for _, name := range w.DeleteNodes {
		if err := c.deleteNode(ctx, name, leaves, did); err != nil {
			return changes, values, err
		}
	}
	if err := c.applyAll(ctx, w.Objects, did); err != nil {
		return changes, values, err
	}
	if w.Endpoint != "" {
		if err := c.setEndpoint(ctx, w.Endpoint, did); err != nil {
			return changes, values, err
		}
	}
	if w.KubeadmImages != nil {
		if err := c.setKubeadmImages(ctx, *w.KubeadmImages, did); err != nil {
			return changes, values, err
		}
	}
	if w.JoinToken != nil {
		var change spec.Change
		if change, values, err = c.joinToken(ctx, *w.JoinToken, time.Now()); err != nil {
			return changes, values, err
		}
		did(change)
	}
	if err := c.waitAll(ctx, w.Ready, tell); err != nil {
		return changes, values, err
	}
	for _, name := range w.Uncordon {
		if err := c.uncordon(ctx, name, did); err != nil {
			return changes, values, err
		}
	}
	return changes, values, nil
}

// past tense, for events.
func past(a spec.Action) string {
	switch a {
	case spec.Create:
		return "created"
	case spec.Delete:
		return "deleted"
	case spec.Restart:
		return "restarted"
	default:
		return "updated"
	}
}

// applyAll applies objects in order, sending only what differs.
func (c *Cluster) applyAll(ctx context.Context, objects []spec.Object, did func(spec.Change)) error {
	newKinds := false
	return eachObject(objects, func(o spec.Object, u *unstructured.Unstructured) error {
		if newKinds {
			if err := c.awaitKind(ctx, u); err != nil {
				return err
			}
		}
		d, err := c.converge(ctx, o, u)
		if err != nil || d == nil {
			return err
		}
		newKinds = newKinds || u.GetKind() == "CustomResourceDefinition"
		did(d.change)
		return nil
	})
}

// converge compares an object and sends what differs; nil means that nothing did.
// When somebody changed the object in between, it is compared again.
func (c *Cluster) converge(ctx context.Context, o spec.Object, u *unstructured.Unstructured) (*difference, error) {
	for attempt := 1; ; attempt++ {
		d, err := c.compare(ctx, o, u)
		if err != nil || d == nil {
			return nil, err
		}
		err = d.send(ctx)
		if err == nil {
			return d, nil
		}
		if !apierrors.IsConflict(err) || attempt == 5 {
			return nil, err
		}
	}
}

// eachObject hands every object of the manifests to do, in order.
func eachObject(objects []spec.Object, do func(spec.Object, *unstructured.Unstructured) error) error {
	for _, o := range objects {
		docs, err := decode(o)
		if err != nil {
			return err
		}
		for _, u := range docs {
			if err := prepare(u); err != nil {
				return err
			}
			if err := do(o, u); err != nil {
				return err
			}
		}
	}
	return nil
}

package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// evict asks until the pod may go. It gives why the pod was held at the
// deadline, "" when it was not. A budget gives way when other pods become ready,
// and the API server tells of that only when it is asked again.
func (c *Cluster) evict(ctx context.Context, l leaver, tell func(Event)) (held string, err error) {
	eviction := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction",
		"metadata":      map[string]any{"name": l.name, "namespace": l.namespace},
		"deleteOptions": map[string]any{"preconditions": map[string]any{"uid": string(l.uid)}},
	}}
	ticker := time.NewTicker(c.pace)
	defer ticker.Stop()
	last := ""
	for {
		_, err := c.dynamic.Resource(pods).Namespace(l.namespace).Create(ctx, eviction, metav1.CreateOptions{FieldManager: fieldManager}, "eviction")
		switch {
		case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err): // a conflict is another pod of that name
			return "", nil
		case ctx.Err() != nil && last != "":
			return fmt.Sprintf("%s is held: %s", l, last), nil
		case ctx.Err() != nil:
			return fmt.Sprintf("%s was not evicted: %v", l, err), nil
		case !apierrors.IsTooManyRequests(err):
			return "", apiError(ctx, "evict pod "+l.String(), err)
		}
		if why := budget(err); why != last {
			last = why
			tell(Event{Message: fmt.Sprintf("pod %s waits: %s", l, why)})
		}
		select {
		case <-ctx.Done():
			return fmt.Sprintf("%s is held: %s", l, last), nil
		case <-ticker.C:
		}
	}
}

// budget is what the API server says of the budget in the way.
func budget(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil {
		for _, cause := range status.Status().Details.Causes {
			if cause.Message != "" {
				return cause.Message
			}
		}
	}
	return err.Error()
}

// awaitGone watches a node until these pods are gone, and gives those that are
// not at the deadline.
func (c *Cluster) awaitGone(ctx context.Context, node string, leavers []leaver) ([]string, error) {
	left := map[types.UID]string{}
	for _, l := range leavers {
		left[l.uid] = l.String() + " is still ending"
	}
	var broken error
	for len(left) > 0 {
		err := c.watchGone(ctx, node, left)
		if len(left) == 0 {
			break
		}
		if ctx.Err() == nil {
			broken = err
		}
		timer := time.NewTimer(c.pace) // the watch broke: begin again
		select {
		case <-ctx.Done():
			timer.Stop()
			out := make([]string, 0, len(left))
			for _, name := range left {
				out = append(out, name)
			}
			slices.Sort(out)
			return out, errors.Join(ctx.Err(), broken)
		case <-timer.C:
		}
	}
	return nil, nil
}

// watchGone takes out of left what is gone, until the watch ends.
func (c *Cluster) watchGone(ctx context.Context, node string, left map[types.UID]string) error {
	list, err := c.dynamic.Resource(pods).List(ctx, onNode(node))
	if err != nil {
		return err
	}
	there := map[types.UID]bool{}
	for _, u := range list.Items {
		there[u.GetUID()] = true
	}
	for uid := range left {
		if !there[uid] {
			delete(left, uid)
		}
	}
	if len(left) == 0 {
		return nil
	}
	o := onNode(node)
	o.ResourceVersion = list.GetResourceVersion()
	w, err := c.dynamic.Resource(pods).Watch(ctx, o)
	if err != nil {
		return err
	}
	defer w.Stop()
	for len(left) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-w.ResultChan():
			if !open {
				return nil
			}
			u, isPod := e.Object.(*unstructured.Unstructured)
			switch {
			case e.Type == watch.Error:
				return apierrors.FromObject(e.Object)
			case e.Type == watch.Deleted && isPod:
				delete(left, u.GetUID())
			}
		}
	}
	return nil
}

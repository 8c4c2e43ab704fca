package kube

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kforge.dev/kforge/pkg/spec"
)

// waitRenewed waits until the kubelet of r.RenewedBy has started a static pod's
// containers itself. A kubelet of another minor does so (the id of a static pod
// is a digest of all fields that it knows), seconds after it has said that the
// node is ready; the pods that it found are ready until then. Should it leave
// them as they are, that is known only by waiting: it is given half of the time.
func (c *Cluster) waitRenewed(ctx context.Context, r spec.Ready, timeout time.Duration, tell func(Event)) error {
	ours, cancel := context.WithTimeout(ctx, timeout/2)
	defer cancel()
	since, err := c.kubeletStart(ours, r.RenewedBy)
	if err == nil {
		err = c.follow(ours, c.at(readinessOf["Pod"].resource, r.Namespace), r.Name, func(u *unstructured.Unstructured) (bool, error) {
			var p corev1.Pod
			if u == nil {
				return false, nil
			}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p); err != nil {
				return false, fmt.Errorf("read %s: %w", title(u), err)
			}
			return startedSince(&p, since), nil
		})
	}
	if err == nil || ours.Err() == nil || ctx.Err() != nil {
		return err
	}
	tell(Event{Message: fmt.Sprintf("Pod %s/%s: the kubelet that was restarted has not made it anew within %s", r.Namespace, r.Name, timeout/2)})
	return nil
}

// startedSince tells whether all containers of a pod run since a time or later.
// Pods tell of whole seconds.
func startedSince(p *corev1.Pod, t time.Time) bool {
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running == nil || s.State.Running.StartedAt.Time.Before(t.Truncate(time.Second)) {
			return false
		}
	}
	return len(p.Status.ContainerStatuses) > 0
}

// kubeletStart is when a node's kubelet began, as it tells itself by way of the
// API server: on the clock by which it dates its containers.
func (c *Cluster) kubeletStart(ctx context.Context, node string) (time.Time, error) {
	ticker := time.NewTicker(c.pace)
	defer ticker.Stop()
	for {
		text, err := c.raw.Get().AbsPath("/api/v1/nodes", node, "proxy", "metrics").DoRaw(ctx)
		if err == nil {
			for line := range strings.Lines(string(text)) {
				if number, ok := strings.CutPrefix(line, "process_start_time_seconds "); ok {
					if seconds, err := strconv.ParseFloat(strings.TrimSpace(number), 64); err == nil {
						return time.UnixMilli(int64(seconds * 1000)), nil
					}
				}
			}
			err = fmt.Errorf("the kubelet of %s does not tell when it began", node)
		}
		select {
		case <-ctx.Done():
			return time.Time{}, err
		case <-ticker.C:
		}
	}
}

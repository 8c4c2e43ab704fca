package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/spec"
)

const etcdPodPath = "/api/v1/namespaces/kube-system/pods/etcd-n1"

// etcdPod is a static pod that is ready, with a container of some time.
func etcdPod(started time.Time) kubetest.Object {
	return kubetest.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": kubetest.Object{"name": "etcd-n1", "namespace": "kube-system"},
		"status": kubetest.Object{
			"conditions": []any{kubetest.Object{"type": "Ready", "status": "True"}},
			"containerStatuses": []any{kubetest.Object{
				"name": "etcd", "ready": true, "state": kubetest.Object{"running": kubetest.Object{"startedAt": started.UTC().Format(time.RFC3339)}},
			}},
		},
	}
}

// A kubelet of another minor says that its node is ready, and then stops etcd: on
// the lab, the next control plane's upgrade began meanwhile, and quorum was lost.
func TestReadyWaitsForPodsMadeAnew(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 25, 12, 53, 53, 200_000_000, time.UTC)
	metrics := fmt.Sprintf("# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.9e\n", float64(began.UnixMilli())/1000)
	ready := func(seconds int) spec.KubeWork {
		return spec.KubeWork{Ready: []spec.Ready{{Kind: "Pod", Namespace: "kube-system", Name: "etcd-n1", RenewedBy: "n1", TimeoutSeconds: seconds}}}
	}
	t.Run("waits", func(t *testing.T) {
		t.Parallel()
		s := kubetest.New(t)
		s.SetMetrics("n1", metrics)
		s.Put(etcdPodPath, etcdPod(began.Add(-time.Hour)))
		c, done := connect(t, s), make(chan error, 1)
		go func() {
			_, _, err := c.Apply(t.Context(), ready(60), nil)
			done <- err
		}()
		select {
		case err := <-done:
			t.Fatalf("the pod that the kubelet found was taken for its own: %v", err)
		case <-time.After(500 * time.Millisecond):
		}
		s.Put(etcdPodPath, etcdPod(began)) // a second is told without its fraction
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("a pod that stays as it is", func(t *testing.T) {
		t.Parallel()
		s := kubetest.New(t)
		s.SetMetrics("n1", metrics)
		s.Put(etcdPodPath, etcdPod(began.Add(-time.Hour)))
		var said []string
		_, _, err := connect(t, s).Apply(t.Context(), ready(4), func(e Event) { said = append(said, e.Message) })
		if err != nil || len(said) != 2 || !strings.Contains(said[0], "has not made it anew within 2s") {
			t.Errorf("said %q, %v", said, err)
		}
	})
	t.Run("a pod that does not come again", func(t *testing.T) {
		t.Parallel()
		s := kubetest.New(t)
		s.SetMetrics("n1", metrics)
		_, _, err := connect(t, s).Apply(t.Context(), ready(2), nil)
		if diag.KindOf(err) != diag.Timeout {
			t.Errorf("%v", err)
		}
	})
}

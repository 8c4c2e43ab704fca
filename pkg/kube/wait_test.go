package kube

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/spec"
)

func TestWaitAPI(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	var asked atomic.Int32
	s.SetReadyz(func() (int, string) {
		if asked.Add(1) < 4 {
			return http.StatusInternalServerError, "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed"
		}
		return http.StatusOK, "ok"
	})
	var said []string
	if _, _, err := connect(t, s).Apply(t.Context(), spec.KubeWork{WaitAPI: true}, func(e Event) { said = append(said, e.Message) }); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 4 || len(said) != 1 || said[0] != "waiting for the API server: not ready: etcd" {
		t.Errorf("asked %d times, said %q", asked.Load(), said)
	}
}

func TestWaitAPIEnds(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	other, err := Connect([]byte(strings.ReplaceAll(string(s.Kubeconfig()), "127.0.0.1", "localhost")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Apply(t.Context(), spec.KubeWork{WaitAPI: true}, nil); diag.KindOf(err) != diag.Cluster {
		t.Errorf("certificate of another name: %v", err)
	}
	c := connect(t, s)
	s.Close() // connection refused
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, _, err = c.Apply(ctx, spec.KubeWork{WaitAPI: true}, nil)
	if diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "refused") {
		t.Errorf("no server: %v", err)
	}
}

func daemonSet(desired, ready int) kubetest.Object {
	return kubetest.Object{
		"apiVersion": "apps/v1", "kind": "DaemonSet",
		"metadata": kubetest.Object{"name": "flannel", "namespace": "kube-system", "generation": 1},
		"spec":     kubetest.Object{"selector": kubetest.Object{"matchLabels": kubetest.Object{"app": "flannel"}}},
		"status": kubetest.Object{"observedGeneration": 1, "desiredNumberScheduled": desired,
			"updatedNumberScheduled": desired, "numberReady": ready},
	}
}

const flannelPath = "/apis/apps/v1/namespaces/kube-system/daemonsets/flannel"

func TestReadyIsSeenThroughBrokenWatches(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	steps := []func(){
		func() { s.Put("/api/v1/nodes/n1", node("n1", false)) },
		func() { s.BreakWatches(); s.Put(flannelPath, daemonSet(2, 1)) },
		func() { s.Put("/api/v1/nodes/n1", node("n1", true)) },
		func() { s.BreakWatches(); s.Put(flannelPath, daemonSet(2, 2)) },
	}
	next := make(chan struct{}, 100)
	var wg sync.WaitGroup
	wg.Go(func() { // the controllers, each step after something was seen
		for _, step := range steps {
			<-next
			step()
		}
	})
	var said []string
	_, _, err := c.Apply(t.Context(), spec.KubeWork{Ready: []spec.Ready{
		{Kind: "Node", Name: "n1", TimeoutSeconds: 20},
		{Kind: "DaemonSet", Namespace: "kube-system", Name: "flannel", TimeoutSeconds: 20},
	}}, func(e Event) {
		said = append(said, e.Message)
		next <- struct{}{}
	})
	if err != nil {
		t.Fatalf("%v\nsaid %q", err, said)
	}
	wg.Wait()
	all := strings.Join(said, "\n")
	for _, want := range []string{"Node n1: ready", "DaemonSet kube-system/flannel: 2/2 pods ready"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q was not said in:\n%s", want, all)
		}
	}
}

func TestDeadlineTellsWhy(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	s.Put("/api/v1/nodes/n1", node("n1", false))
	s.Put(flannelPath, daemonSet(2, 1))
	s.Put("/api/v1/namespaces/kube-system/pods/flannel-abc", kubetest.Object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": kubetest.Object{"name": "flannel-abc", "namespace": "kube-system", "labels": kubetest.Object{"app": "flannel"}},
		"status": kubetest.Object{"phase": "Running", "containerStatuses": []any{kubetest.Object{
			"name": "flannel", "ready": false,
			"state":     kubetest.Object{"waiting": kubetest.Object{"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
			"lastState": kubetest.Object{"terminated": kubetest.Object{"exitCode": 1}},
		}}},
	})
	_, _, err := c.Apply(t.Context(), spec.KubeWork{Ready: []spec.Ready{
		{Kind: "Node", Name: "n1", TimeoutSeconds: 1},
		{Kind: "DaemonSet", Namespace: "kube-system", Name: "flannel", TimeoutSeconds: 1},
		{Kind: "Deployment", Namespace: "kube-system", Name: "none", TimeoutSeconds: 1},
	}}, nil)
	if diag.KindOf(err) != diag.Timeout || diag.Hint(err) == "" {
		t.Errorf("kind %q, hint %q", diag.KindOf(err), diag.Hint(err))
	}
	want := `wait for Node n1: not ready after 1s; Ready is False: KubeletNotReady: cni plugin not initialized
wait for DaemonSet kube-system/flannel: not ready after 1s; 1/2 pods ready; flannel-abc: CrashLoopBackOff: back-off 40s (flannel exited with 1)
wait for Deployment kube-system/none: not ready after 1s; it does not exist`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestCancelEndsWait(t *testing.T) {
	t.Parallel()
	s := kubetest.New(t)
	c := connect(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err := c.Apply(ctx, spec.KubeWork{Ready: []spec.Ready{{Kind: "Node", Name: "n1"}}}, func(Event) { cancel() })
	if diag.KindOf(err) != diag.Canceled {
		t.Errorf("got %v", err)
	}
}

//go:build e2e && long

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/inventory"
)

// TestYears is what a cluster of three control planes and two workers meets: the
// disk of one fills up, one dies for good, etcd's data are lost in part and as a
// whole, the first is retired.
func TestYears(t *testing.T) {
	ctx := t.Context()
	l := planesUp(ctx, t, 5)
	defer l.down(context.WithoutCancel(ctx), t)
	l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane", "n4=worker", "n5=worker")
	// A disk of its own, which can be made as small as what lies on it.
	if _, err := l.Hosts[2].Exec(ctx, "sh", "-c", "mkdir -p /var/lib/etcd && mount -t tmpfs -o size=16g,mode=700 etcd /var/lib/etcd"); err != nil {
		t.Fatal(err)
	}
	l.apply(ctx, t)
	l.diskFull(ctx, t)
	l.replaceDead(ctx, t)
	l.etcdBack(ctx, t)
	l.removeFirst(ctx, t)
}

// TestOneBecomesThree edits the inventory of a cluster of one control plane, and
// applies it: nothing that ran is made anew, and nodes reach the API another way.
func TestOneBecomesThree(t *testing.T) {
	ctx := t.Context()
	l := planesUp(ctx, t, 3)
	n1 := l.Hosts[0]
	etcdPod := func() string {
		return kubectl(ctx, t, n1, "get", "pod", "etcd-n1", "-n", "kube-system", "-o", "jsonpath={.metadata.uid} {.status.containerStatuses[0].restartCount}")
	}
	l.write(t, "n1=control-plane")
	l.apply(ctx, t)
	kubectl(ctx, t, n1, "create", "configmap", "kept", "--from-literal=value=1")
	before := etcdPod()

	step(t, "three control planes by editing the inventory and applying", func(t *testing.T) {
		l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane")
		began := time.Now()
		l.apply(ctx, t)
		t.Logf("three control planes after %s", time.Since(began).Round(time.Second))
		l.healthy(ctx, t, 3)
		l.unchanged(ctx, t)
	})
	if after := etcdPod(); after != before {
		t.Errorf("the first member of etcd was started anew: %s, it was %s", after, before)
	}
	kubectl(ctx, t, l.Hosts[2], "get", "configmap", "kept")
	if config := kubectl(ctx, t, n1, "get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "yaml"); !strings.Contains(config, "controlPlaneEndpoint: "+inventory.LocalEndpoint) {
		t.Errorf("kubeadm's configuration does not name %s:\n%s", inventory.LocalEndpoint, config)
	}
	for _, h := range l.Hosts {
		kubectl(ctx, t, h, "--server", "https://"+inventory.LocalEndpoint, "get", "--raw", "/readyz")
	}
	step(t, "the first control plane may lose its power", func(t *testing.T) {
		if err := n1.Kill(ctx); err != nil {
			t.Fatal(err)
		}
		kubectl(ctx, t, l.Hosts[1], "wait", "node/n1", "--for=condition=Ready=Unknown", "--timeout=2m")
		kubectl(ctx, t, l.Hosts[1], "create", "configmap", "written-without-n1")
	})
}

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/pkg/run"
)

// contexts has kforge write both kinds of access into one file, and uses them as
// kubectl would.
func (k *kforge) contexts(ctx context.Context, t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	write := func(flags ...string) (v run.KubeconfigView) {
		t.Helper()
		r := k.run(ctx, t, append([]string{"kubeconfig", k.inventory, "--out", file, "-o", "json"}, flags...)...)
		if err := json.Unmarshal([]byte(r.stdout), &v); r.code != 0 || err != nil {
			t.Fatalf("kubeconfig %s ended with %d (%v):\n%s%s", strings.Join(flags, " "), r.code, err, r.stdout, r.stderr)
		}
		return v
	}
	direct := write()
	if n, err := nodesBy(ctx, file, direct.Context); err != nil || n != 3 {
		t.Errorf("context %s shows %d nodes: %v", direct.Context, n, err)
	}
	tunnel := write("--through-ssh", "--local-port", "26443")
	if len(tunnel.Tunnel) == 0 || tunnel.Context == direct.Context {
		t.Fatalf("through SSH: %+v", tunnel)
	}
	ctx, cancel := context.WithCancel(ctx)
	ssh := exec.CommandContext(ctx, tunnel.Tunnel[0], tunnel.Tunnel[1:]...)
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		ssh.Wait()
	}()
	err := proc.Until(ctx, 20*time.Second, "the API to answer through "+strings.Join(tunnel.Tunnel, " "), func(ctx context.Context) error {
		n, err := nodesBy(ctx, file, tunnel.Context)
		if err == nil && n != 3 {
			err = fmt.Errorf("%d nodes", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if n, err := nodesBy(ctx, file, direct.Context); err != nil || n != 3 {
		t.Errorf("the first context no longer works: %d nodes, %v", n, err)
	}
}

// nodesBy counts the nodes that a context of a kubeconfig shows.
func nodesBy(ctx context.Context, file, name string) (int, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		return 0, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	return len(nodes.Items), nil
}

//go:build e2e && long

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdopt takes over a cluster that a shell script made with kubeadm.
func TestAdopt(t *testing.T) {
	ctx := t.Context()
	lab, k := up(ctx, t), newKforge(t)
	script := exec.CommandContext(ctx, filepath.Join(k.root, "e2e", "floor", "floor.sh"))
	script.Env = append(os.Environ(), "KFORGE_LAB_STATE="+lab.State)
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("making a cluster without kforge: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	raw, err := os.ReadFile(k.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "../.lab", filepath.Join(k.root, ".lab"))
	k.inventory = filepath.Join(t.TempDir(), "adopt.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(k.inventory, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	running := kubectl(ctx, t, lab.Hosts[0], "get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}")

	step(t, "other networks than the cluster's are refused", func(t *testing.T) {
		write(text)
		r := k.run(ctx, t, "apply", k.inventory, "--yes")
		if r.code != 4 || !strings.Contains(r.stderr, "serviceCIDR: 10.96.0.0/12") {
			t.Errorf("apply ended with %d:\n%s", r.code, r.stderr)
		}
	})

	step(t, "the plan shows what is taken over, and changes nothing", func(t *testing.T) {
		write(strings.Replace(text, "\nspec:\n", "\nspec:\n  network: {serviceCIDR: 10.96.0.0/12}\n", 1))
		before := checksums(ctx, t, lab.Hosts)
		r := k.run(ctx, t, "plan", k.inventory, "--detailed-exitcode")
		for _, want := range []string{"the present file is kept as /etc/containerd/config.toml.kforge-orig", "node's labels and taints"} {
			if r.code != 2 || !strings.Contains(r.stdout, want) {
				t.Errorf("plan ended with %d and does not tell %q:\n%s%s", r.code, want, r.stdout, r.stderr)
			}
		}
		if !strings.Contains(r.stderr, "made by kubeadm without kforge: n1, n2, n3 are taken over") {
			t.Errorf("plan does not tell that the cluster is taken over:\n%s", r.stderr)
		}
		if strings.Contains(r.stdout, "> run kubeadm") {
			t.Errorf("the plan makes another cluster:\n%s", r.stdout)
		}
		for name, sum := range checksums(ctx, t, lab.Hosts) {
			if before[name] != sum {
				t.Errorf("plan changed files of %s", name)
			}
		}
	})

	step(t, "apply takes it over, and pods run on", func(t *testing.T) {
		s := k.apply(ctx, t)
		t.Logf("%d changes", s.Changed)
		if _, err := lab.Hosts[1].Exec(ctx, "sh", "-ec", "test -s /etc/containerd/config.toml.kforge-orig && test -s /etc/systemd/system/kubelet.service.kforge-orig"); err != nil {
			t.Errorf("what was replaced is not kept: %v", err)
		}
		after := kubectl(ctx, t, lab.Hosts[0], "get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}")
		kept := 0
		for _, uid := range strings.Fields(running) {
			if strings.Contains(after, uid) {
				kept++
			}
		}
		t.Logf("%d of %d pods are those that were there before", kept, len(strings.Fields(running)))
		healthy(ctx, t, lab)
		s = k.apply(ctx, t)
		if s.Changed != 0 || s.Mutating != 0 {
			t.Errorf("another apply: %d changes, %d mutating requests", s.Changed, s.Mutating)
		}
	})
}

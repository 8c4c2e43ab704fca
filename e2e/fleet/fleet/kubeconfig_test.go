package fleet_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/run"
)

func TestKubeconfig(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 2})
	var r record
	file := filepath.Join(t.TempDir(), "kube", "config")
	get := func(change func(*run.KubeconfigOptions)) (*run.KubeconfigView, error) {
		o := run.KubeconfigOptions{Inventory: f.Inventory, File: file, LocalPort: 16443}
		change(&o)
		return run.Kubeconfig(t.Context(), world(f, &r), o)
	}
	asIs := func(*run.KubeconfigOptions) {}

	if _, err := get(asIs); diag.KindOf(err) != diag.NotFound || !contains(err, "no cluster yet") {
		t.Errorf("there is no cluster: %v", err)
	}
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Machines {
		m.Requests()
	}
	v, err := get(asIs)
	if err != nil || !v.Changed || v.Context != "fleet" || v.Server != "https://10.99.0.1:6443" {
		t.Fatalf("%+v, %v", v, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file: %v %v", info, err)
	}
	if v, err = get(asIs); err != nil || v.Changed {
		t.Errorf("the second time: %+v, %v", v, err)
	}
	for _, m := range f.Machines {
		if got := m.Requests(); fleet.Changes(got) != 0 {
			t.Errorf("%s was asked for changes: %v", m.Name, got)
		}
	}

	// Beside it, the way through a tunnel.
	v, err = get(func(o *run.KubeconfigOptions) { o.ThroughSSH = true })
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(f.Inventory)
	want := []string{"ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-L", "127.0.0.1:16443:127.0.0.1:6443",
		"-i", filepath.Join(dir, "key"), "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known_hosts"), "-p", portOf(t, f, "h001"), "-l", "root", "--", "127.0.0.1"}
	if d := cmp.Diff(want, v.Tunnel); d != "" || v.Context != "fleet-ssh" || v.Server != "https://127.0.0.1:16443" {
		t.Errorf("tunnel: %+v (-want +got):\n%s", v, d)
	}
	if raw := read(t, file); !strings.Contains(raw, "tls-server-name: kubernetes") || !strings.Contains(raw, "current-context: fleet\n") {
		t.Errorf("the file:\n%s", raw)
	}

	// What is there under the name goes only with a yes.
	before := read(t, file)
	other := func(o *run.KubeconfigOptions) { o.ThroughSSH, o.Context = true, "fleet" }
	if _, err := get(other); diag.KindOf(err) != diag.Consent || !contains(err, "cluster fleet at https://10.99.0.1:6443") {
		t.Errorf("nobody to ask: %v", err)
	}
	answer := func(yes bool) func(*run.KubeconfigOptions) {
		return func(o *run.KubeconfigOptions) {
			other(o)
			o.Ask = func(context.Context, string) (bool, error) { return yes, nil }
		}
	}
	if _, err := get(answer(false)); diag.KindOf(err) != diag.Consent || read(t, file) != before {
		t.Errorf("a no: %v", err)
	}
	if v, err := get(answer(true)); err != nil || !v.Changed || read(t, file) == before {
		t.Errorf("a yes: %v", err)
	}
	if _, err := get(func(o *run.KubeconfigOptions) { o.Yes = true }); err != nil || read(t, file) != before {
		t.Errorf("a yes beforehand: %v\n%s", err, read(t, file))
	}

	// Nobody else writes the file at the same time.
	if err := os.WriteFile(file+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := get(asIs); diag.KindOf(err) != diag.Locked {
		t.Errorf("the file is locked: %v", err)
	}
	if v, err := get(func(o *run.KubeconfigOptions) { o.File = "-" }); err != nil || !strings.Contains(string(v.Content), "10.99.0.1") {
		t.Errorf("to standard output: %v", err)
	}
}

// portOf is a host's in the inventory.
func portOf(t *testing.T, f *fleet.Fleet, name string) string {
	t.Helper()
	_, rest, _ := strings.Cut(read(t, f.Inventory), "name: "+name+", address: 127.0.0.1, port: ")
	port, _, _ := strings.Cut(rest, ",")
	return port
}

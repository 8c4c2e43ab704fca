//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// faultLab is a lab to be ill-treated: inventories are written into a folder of
// the test's own.
type faultLab struct {
	*site.Lab
	*kforge
	dir string
}

// member is a host of an inventory, and who signs in there.
type member struct{ name, user string }

var allHosts = []member{{"n1", "root"}, {"n2", "kforge"}, {"n3", "root"}}

// write makes an inventory; its first host is the control plane.
func (l *faultLab) write(t *testing.T, name, keyFile string, members ...member) (path string) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: kforge.dev/v1alpha1
kind: Cluster
metadata:
  name: lab
spec:
  ssh: {identityFiles: [%q], knownHosts: %q, hostKeys: strict}
  artifacts: {mirror: %q}
  timeouts: {connect: 5s}
  defaults: {cgroupV1: allow}
  hosts:
`, keyFile, l.KnownHostsFile(), l.Mirror)
	role := "control-plane"
	for _, m := range members {
		fmt.Fprintf(&b, "    - {name: %s, address: %s, user: %s, roles: [%s]}\n", m.name, l.host(m.name).Address, m.user, role)
		role = "worker"
	}
	path = filepath.Join(l.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (l *faultLab) host(name string) *host.Host {
	return l.Hosts[slices.IndexFunc(l.Hosts, func(h *host.Host) bool { return h.Name == name })]
}

// plan plans and gives the events of it.
func (l *faultLab) plan(ctx context.Context, t *testing.T, inventory string, args ...string) result {
	t.Helper()
	return l.run(ctx, t, append([]string{"plan", inventory, "--progress", "json"}, args...)...)
}

func (l *faultLab) broken(ctx context.Context, t *testing.T, name string, f host.Fault, while func()) {
	t.Helper()
	h := l.host(name)
	if err := h.Break(ctx, f); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Heal(context.WithoutCancel(ctx), f); err != nil {
			t.Fatal(err)
		}
	}()
	while()
}

// wants checks the exit code, and that the error of a host says what, where and
// what to do about it.
func wants(t *testing.T, r result, code int, name string, kind diag.Kind, hint string) *diag.Error {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d:\n%s%s", r.code, code, r.stderr, lastEvents(r.events, 10))
	}
	for _, h := range r.summary(t).Results {
		if h.Host != name {
			continue
		}
		e := h.Error
		if e == nil || e.Kind != kind || e.Host != name || e.Op == "" && e.Step == "" || !strings.Contains(e.Hint, hint) || e.Hint == "" {
			t.Fatalf("%s ended %s with %#v, want kind %q and a hint that says %q", name, h.Status, e, kind, hint)
		}
		t.Logf("%v\n  hint: %s", e, e.Hint)
		return e
	}
	t.Fatalf("no result of %s:\n%s", name, lastEvents(r.events, 3))
	return nil
}

// clean wants no half-written file anywhere.
func (l *faultLab) clean(ctx context.Context, t *testing.T) {
	t.Helper()
	const find = `find /var/lib/kforge /usr/local /etc /opt /root /home -xdev \( -name '*.kforge-tmp-*' -o -name '.put-*' -o -name '*.tmp' -o -name '*.tmp-*' -o -name '.try-*' \) 2>/dev/null || true`
	for _, h := range l.Hosts {
		out, err := h.Exec(ctx, "sh", "-c", find)
		if err != nil {
			t.Fatal(err)
		}
		if out != "" {
			t.Errorf("half-written files on %s:\n%s", h.Name, out)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{l.dir, filepath.Join(cache, "kforge", "artifacts", "tmp")} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if dir == l.dir && strings.HasPrefix(e.Name(), ".") || dir != l.dir && !strings.HasPrefix(e.Name(), "lock-") {
				t.Errorf("half-written file: %s", filepath.Join(dir, e.Name()))
			}
		}
	}
}

// interrupt runs apply and presses Ctrl-C as often as told at the first event
// that fits.
func (l *faultLab) interrupt(ctx context.Context, t *testing.T, times int, fits func(event.Event) bool) (r result, took time.Duration) {
	t.Helper()
	var at time.Time
	r, err := l.watch(ctx, func(e event.Event, p *os.Process) {
		if !at.IsZero() || !fits(e) {
			return
		}
		at = time.Now()
		for n := range times {
			if n > 0 {
				time.Sleep(200 * time.Millisecond) // two signals at once are one
			}
			if err := p.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
		}
	}, "apply", l.inventory, "--yes", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if at.IsZero() {
		t.Fatalf("the moment did not come; exit code %d\n%s%s", r.code, r.stderr, lastEvents(r.events, 10))
	}
	if e := r.summary(t).Error; r.code != 130 || e == nil || !strings.Contains(e.Hint, "run the same command again") {
		t.Errorf("exit code %d with %v, want 130 and a hint at the same command\n%s", r.code, e, r.stderr)
	}
	return r, time.Since(at)
}

// ended wants every step that was begun to have ended well.
func ended(t *testing.T, r result) {
	t.Helper()
	open := map[string]bool{}
	for _, e := range r.events {
		switch {
		case e.Event == event.StepStart:
			open[e.Step] = true
		case e.Event == event.StepDone:
			delete(open, e.Step)
			if e.Status == event.Failed {
				t.Errorf("step %s failed: %v", e.Step, e.Error)
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("steps were begun and not ended: %v", open)
	}
}

func importing(e event.Event) bool {
	return e.Event == event.Change && e.Change != nil && e.Change.Action == "import"
}

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/clock"
	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/e2e/lab/vm"
	"kforge.dev/kforge/pkg/preflight"
)

// planted is a lab of containers n1 to n3 and the virtual machine v1, on one
// network and in one inventory.
type planted struct {
	*kforge
	hosts []*host.Host
	vm    vmLab
}

// plantedLab makes all of it bare; the machine boots while containers are made.
func plantedLab(ctx context.Context, t *testing.T) *planted {
	t.Helper()
	o := site.Options{Hosts: 3, Log: testLog{t}}
	if err := site.DownVMs(ctx, o); err != nil { // one that is there may not be bare
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.DownVMs(context.WithoutCancel(ctx), o); err != nil {
			t.Error(err)
		}
	})
	var containers, machines []*host.Host
	eg, egCtx := errgroup.WithContext(ctx)
	eg.Go(func() (err error) {
		machines, err = site.UpVMs(egCtx, o, 1, vm.Options{Disks: vm.Disks{Count: 2, Size: "1G"}})
		return err
	})
	eg.Go(func() (err error) {
		containers, err = site.Bare(egCtx, o)
		return err
	})
	if err := eg.Wait(); err != nil {
		t.Fatal(err)
	}
	lab, err := site.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	tellTime(ctx, t)
	l := &planted{kforge: newKforge(t), hosts: append(containers, machines...), vm: vmLab{lab: lab, host: machines[0]}}
	l.inventory = l.write(t)
	return l
}

// tellTime lets the machine have a time server, unless the mirror of an earlier
// test is one.
func tellTime(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- clock.Serve(ctx, host.Gateway+":"+host.TimePort) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			t.Error(err)
		}
	})
}

// write makes the inventory. What is waived is what the lab is, and not what
// goes wrong in it; the disk below n1 is that of all hosts and builds.
func (l *planted) write(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: kforge.dev/v1alpha1
kind: Cluster
metadata:
  name: planted
spec:
  ssh: {identityFiles: [%q], knownHosts: %q, hostKeys: strict}
  timeouts: {connect: 30s}
  classes:
    container:
      cgroupV1: allow
      checks:
        cgroup-v1: {severity: "off", reason: containers have the cgroups that their machine boots with}
        resolver: {severity: "off", reason: Docker's resolver answers on loopback and does not tell whom it asks}
        fsync: {warn: 1s, fail: 5s}
    vm:
      timeoutScale: 4
      checks:
        cgroup-controllers: {severity: "off", reason: the kernel of User-mode Linux is built without cpuset}
  hosts:
`, l.vm.lab.KeyFile(), l.vm.lab.KnownHostsFile())
	role := "control-plane"
	for i, h := range l.hosts {
		class := "container"
		if h == l.vm.host {
			class = "vm"
		}
		fmt.Fprintf(&b, "    - {name: %s, address: %s, user: %s, class: %s, roles: [%s]}\n", h.Name, h.Address, []string{"root", "kforge"}[i%2], class, role)
		role = "worker"
	}
	file := filepath.Join(t.TempDir(), "planted.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (l *planted) host(name string) *host.Host {
	return l.hosts[slices.IndexFunc(l.hosts, func(h *host.Host) bool { return h.Name == name })]
}

func (l *planted) plant(ctx context.Context, t *testing.T, name string, faults ...host.Fault) {
	t.Helper()
	for _, f := range faults {
		if err := l.host(name).Break(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
}

func (l *planted) plantBetween(ctx context.Context, t *testing.T, name string, f host.Fault, peer string) {
	t.Helper()
	if err := l.host(name).Break(ctx, f, l.host(peer)); err != nil {
		t.Fatal(err)
	}
}

func (l *planted) heal(ctx context.Context, t *testing.T, name string, faults ...host.Fault) {
	t.Helper()
	for _, f := range faults {
		if err := l.host(name).Heal(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
}

// check runs kforge check, which must change no file of any host.
func (l *planted) check(ctx context.Context, t *testing.T) (preflight.Report, int) {
	t.Helper()
	start := time.Now()
	before := checksums(ctx, t, l.hosts)
	summed := time.Now()
	r := l.run(ctx, t, "check", l.inventory, "-o", "json")
	t.Logf("files summed in %.1f s, hosts checked in %.1f s", summed.Sub(start).Seconds(), time.Since(summed).Seconds())
	for name, sum := range checksums(ctx, t, l.hosts) {
		if before[name] != sum {
			t.Errorf("check changed files of %s", name)
		}
	}
	var report preflight.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("check ended with %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	for _, h := range report.Hosts {
		if !h.Reached || !h.Measured {
			t.Errorf("%s: reached %t, measured %t\n%s", h.Name, h.Reached, h.Measured, r.stderr)
		}
	}
	if want := len(l.hosts) * (len(l.hosts) - 1); report.Paths != want {
		t.Errorf("%d ways were measured, want %d\n%s", report.Paths, want, r.stderr)
	}
	return report, r.code
}

// finds wants all of these and, beside them, no error and no warning.
func (l *planted) finds(ctx context.Context, t *testing.T, want []found) {
	t.Helper()
	report, code := l.check(ctx, t)
	if worst := slices.ContainsFunc(want, func(w found) bool { return w.severity == preflight.Error }); code != map[bool]int{true: 5}[worst] {
		t.Errorf("check ended with %d", code)
	}
	left := slices.Clone(want)
	for _, f := range report.Findings {
		line := fmt.Sprintf("%s %s %s: %s\n  fix: %s", f.Severity, f.Rule, f.Host, f.Message, f.Hint)
		i := slices.IndexFunc(left, func(w found) bool { return w.of(f) })
		switch {
		case i >= 0:
			left = slices.Delete(left, i, i+1)
			t.Log(line)
		case f.Severity == preflight.Notice:
			t.Log(line)
		default:
			t.Errorf("not planted: %s", line)
		}
	}
	for _, w := range left {
		t.Errorf("not found: %s %s %s: %q, to be mended by %q", w.severity, w.rule, w.host, w.says, w.remedy)
	}
}

// of tells whether a finding is the one that is wanted.
func (w found) of(f preflight.Finding) bool {
	silent := func(s string) bool { return !strings.Contains(f.Message, s) }
	return f.Severity == w.severity && f.Rule == w.rule && f.Host == w.host && !slices.ContainsFunc(w.says, silent) && strings.Contains(f.Hint, w.remedy)
}

// clean wants nothing found, and waived only what the lab is.
func (l *planted) clean(ctx context.Context, t *testing.T) {
	t.Helper()
	// The machine's time daemon has just been started: it need not wait for its turn.
	if _, err := l.vm.host.Exec(ctx, "sh", "-euc", "chronyc burst 2/4 >/dev/null; chronyc waitsync 60 0 0 1"); err != nil {
		t.Fatal(err)
	}
	report, code := l.check(ctx, t)
	if code != 0 || report.Summary.Errors+report.Summary.Warnings != 0 {
		t.Errorf("check ended with %d: %+v", code, report.Summary)
	}
	for _, f := range report.Findings {
		line := fmt.Sprintf("%s %s %s: %s", f.Severity, f.Rule, f.Host, f.Message)
		if f.Severity == preflight.Notice {
			t.Log(line)
		} else {
			t.Error(line)
		}
	}
	waived := map[string]int{}
	for _, f := range report.Waived {
		waived[f.Rule]++
		if f.Reason == "" {
			t.Errorf("waived without a reason: %s %s: %s", f.Rule, f.Host, f.Message)
		}
	}
	// Newer machines have no cgroup v1.
	if v1 := waived["cgroup-v1"]; waived["resolver"] != 3 || waived["cgroup-controllers"] != 1 || v1 != 0 && v1 != 3 || len(report.Waived) != 4+v1 {
		t.Errorf("waived: %v", waived)
	}
}

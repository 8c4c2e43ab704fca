//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// TestFaults breaks one thing after the other: each ends with the right exit
// code and an error that names host, step and remedy, leaves no half-written
// file, and the next run goes on.
func TestFaults(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	ctx := t.Context()
	l := &faultLab{Lab: up(ctx, t), kforge: newKforge(t), dir: t.TempDir()}
	l.inventory = l.write(t, "lab", l.KeyFile(), allHosts...)
	for _, s := range []struct {
		name string
		run  func(context.Context, *testing.T)
	}{
		{"without a terminal and --yes nothing is changed", l.consentWanted},
		{"a key that the hosts do not know", l.wrongKey},
		{"a host with another key", l.changedHostKey},
		{"a user without sudo", l.noSudo},
		{"a user whose sudo wants a password", l.sudoPassword},
		{"hosts that do not answer", l.unreachable},
		{"somebody else's containerd", l.foreignContainerd},
		{"a damaged bundle", l.damagedBundle},
		{"a full disk", l.fullDisk},
		{"ctrl-c while artifacts are fetched", l.interruptFetch},
		{"ctrl-c during the upload", l.interruptUpload},
		{"ctrl-c twice during the import of images", l.interruptTwice},
		{"two applies at once", l.twoApplies},
		{"ctrl-c during kubeadm init", l.interruptInit},
		{"a host dies in its join, the agent of another is killed", l.agentKilled},
		{"the dead host comes back", l.comesBack},
		{"a host that is cut off stays a node", l.cutOff},
	} {
		step(t, s.name, func(t *testing.T) {
			s.run(ctx, t)
			l.clean(ctx, t)
		})
	}
}

func (l *faultLab) consentWanted(ctx context.Context, t *testing.T) {
	before := checksums(ctx, t, l.Hosts)
	r := l.run(ctx, t, "apply", l.inventory, "-o", "json")
	if e := r.summary(t).Error; r.code != 6 || e.Kind != diag.Consent || !strings.Contains(e.Hint, "--yes") {
		t.Errorf("exit code %d with %v, want 6 and a hint at --yes", r.code, e)
	}
	asked := l.terminal(ctx, t, "apply", l.inventory)
	asked.expect(ctx, t, "(yes/no)")
	asked.press(t, "\x03")
	if code, _ := asked.wait(t); code != 130 || !strings.Contains(asked.screen(), "nothing changed on 3 hosts") {
		t.Errorf("ctrl-c at the question: exit code %d\n%s", code, asked.screen())
	}
	for name, sum := range checksums(ctx, t, l.Hosts) {
		if before[name] != sum {
			t.Errorf("files of %s were changed", name)
		}
	}
}

func (l *faultLab) wrongKey(ctx context.Context, t *testing.T) {
	r := l.plan(ctx, t, l.write(t, "wrong-key", filepath.Join(l.State, "hosts", "n1", "ssh_host_ed25519_key"), allHosts...))
	for _, h := range l.Hosts {
		wants(t, r, 1, h.Name, diag.Auth, "authorized_keys")
	}
	r = l.plan(ctx, t, l.write(t, "no-key", filepath.Join(l.dir, "no-such-key"), allHosts...))
	if r.code == 0 || !strings.Contains(r.stderr+r.stdout, "no-such-key") {
		t.Errorf("a key file that is not there: exit code %d\n%s", r.code, r.stderr)
	}
}

func (l *faultLab) changedHostKey(ctx context.Context, t *testing.T) {
	l.broken(ctx, t, "n3", host.HostKey, func() {
		wants(t, l.plan(ctx, t, l.inventory), 3, "n3", diag.HostKey, "known_hosts")
	})
}

func (l *faultLab) noSudo(ctx context.Context, t *testing.T) {
	l.broken(ctx, t, "n2", host.Sudo, func() {
		r := l.plan(ctx, t, l.inventory)
		wants(t, r, 3, "n2", diag.Sudo, "NOPASSWD")
		if !strings.Contains(r.stdout, "kubeadm init") {
			t.Error("the other hosts were not planned for")
		}
	})
	if r := l.plan(ctx, t, l.inventory); r.code != 0 {
		t.Errorf("healed: exit code %d\n%s", r.code, r.stderr)
	}
}

func (l *faultLab) sudoPassword(ctx context.Context, t *testing.T) {
	const secret = "kf-Q7x9-w0rd"
	n2 := l.host("n2")
	setPassword := func(p string) {
		if err := n2.Stream(context.WithoutCancel(ctx), strings.NewReader("asks:"+p+"\n"), nil, nil, "chpasswd"); err != nil {
			t.Fatal(err)
		}
	}
	setPassword(secret)
	defer setPassword("asks")
	inventory := l.write(t, "asks", l.KeyFile(), allHosts[0], member{"n2", "asks"}, allHosts[2])

	wants(t, l.plan(ctx, t, inventory), 3, "n2", diag.Sudo, "--ask-sudo-password")

	wrong := l.terminal(ctx, t, "plan", inventory, "--ask-sudo-password")
	wrong.expect(ctx, t, "sudo password")
	start := time.Now()
	wrong.press(t, "wrong\n")
	wrong.expect(ctx, t, "refused the password")
	if code, _ := wrong.wait(t); code != 3 || time.Since(start) > 20*time.Second {
		t.Errorf("wrong password: exit code %d after %s\n%s", code, time.Since(start), wrong.screen())
	}

	left := l.terminal(ctx, t, "plan", inventory, "--ask-sudo-password")
	left.expect(ctx, t, "sudo password")
	left.press(t, "\x03")
	if code, echoes := left.wait(t); code != 130 || !echoes {
		t.Errorf("ctrl-c at the password: exit code %d, the terminal echoes: %t\n%s", code, echoes, left.screen())
	}

	right := l.terminal(ctx, t, "apply", inventory, "--ask-sudo-password")
	right.expect(ctx, t, "sudo password")
	right.press(t, secret+"\n")
	right.expect(ctx, t, "(yes/no)")
	said, err := n2.Exec(ctx, "sh", "-c", `cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n'; journalctl --no-pager -o verbose
		find /var/lib/kforge /var/log /home /tmp /run/kforge -type f -size -1000k -exec cat {} +`)
	if err != nil && said == "" {
		t.Fatal(err)
	}
	if !strings.Contains(said, "kforge-agent") || strings.Contains(said, secret) {
		t.Errorf("the agent is to be seen: %t; the password is to be seen: %t", strings.Contains(said, "kforge-agent"), strings.Contains(said, secret))
	}
	right.press(t, "no\n")
	if code, _ := right.wait(t); code != 6 || !strings.Contains(right.screen(), "n2") || strings.Contains(right.screen(), secret) {
		t.Errorf("not agreed: exit code %d\n%s", code, right.screen())
	}
	records, err := filepath.Glob(filepath.Join(l.state, "*", "*"))
	if err != nil || len(records) == 0 {
		t.Fatalf("records: %v, %v", records, err)
	}
	for _, file := range records {
		if raw, err := os.ReadFile(file); err != nil || bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s holds the password, or cannot be read: %v", file, err)
		}
	}
}

func (l *faultLab) unreachable(ctx context.Context, t *testing.T) {
	for _, f := range []host.Fault{host.Net, host.Power} {
		l.broken(ctx, t, "n3", f, func() {
			r := l.plan(ctx, t, l.inventory)
			wants(t, r, 3, "n3", diag.Unreachable, "")
			if s := r.summary(t).Phases["connect"]; s > 9 {
				t.Errorf("%s: connecting took %.1f s with a time-out of 5 s", f, s)
			}
			if !strings.Contains(r.stdout, "kubeadm init") {
				t.Error("the other hosts were not planned for")
			}
		})
	}
}

func (l *faultLab) foreignContainerd(ctx context.Context, t *testing.T) {
	sums := func() string {
		out, err := l.host("n2").Exec(ctx, "sha256sum", "/etc/containerd/config.toml", "/lib/systemd/system/containerd.service")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	l.broken(ctx, t, "n2", host.Containerd, func() {
		before := sums()
		wants(t, l.plan(ctx, t, l.inventory), 3, "n2", diag.Preflight, "remove it")
		alone := l.write(t, "foreign", l.KeyFile(), allHosts[1])
		wants(t, l.run(ctx, t, "apply", alone, "--yes", "-o", "json"), 5, "n2", diag.Preflight, "remove it")
		if after := sums(); after != before {
			t.Errorf("the files of somebody else were changed:\n%s%s", before, after)
		}
	})
}

func (l *faultLab) damagedBundle(ctx context.Context, t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lab.bundle")
	if r := l.run(ctx, t, "bundle", "create", file, "-i", l.inventory); r.code != 0 {
		t.Fatalf("bundle create ended with %d:\n%s", r.code, r.stderr)
	}
	refused := func(how string) {
		t.Helper()
		r := l.run(ctx, t, "apply", l.inventory, "--yes", "-o", "json", "--bundle", file)
		e := r.summary(t).Error
		if r.code != 1 || e.Kind != diag.Digest || !strings.Contains(e.Error(), file) || !strings.Contains(e.Hint, "copy it again") {
			t.Errorf("%s: exit code %d with %v (hint %q), want 1 and kind digest", how, r.code, e, e.Hint)
		}
		for _, ev := range r.events {
			if ev.Event == event.HostState {
				t.Fatalf("%s: a host was touched: %+v", how, ev)
			}
		}
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := st.Size() * 2 / 3
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	refused("a flipped bit")
	if err := f.Truncate(at); err != nil {
		t.Fatal(err)
	}
	refused("cut short")

	// A bundle that is not finished leaves nothing behind.
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	half := l.terminal(ctx, t, "bundle", "create", filepath.Join(dir, "half.bundle"), "-i", l.inventory)
	half.expect(ctx, t, "fetched ")
	half.press(t, "\x03")
	if code, _ := half.wait(t); code != 130 || !strings.Contains(half.screen(), "run the same command again") {
		t.Errorf("ctrl-c ended bundle create with %d:\n%s", code, half.screen())
	}

	// The lab's mirror has artifacts of one architecture.
	r := l.run(ctx, t, "bundle", "create", filepath.Join(dir, "arm64.bundle"), "-i", l.inventory, "--arch", "arm64")
	if r.code != 1 || !strings.Contains(r.stderr, "arm64") {
		t.Errorf("bundle create --arch arm64 ended with %d:\n%s", r.code, r.stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 { // the damaged one
		t.Errorf("beside the bundle: %v, %v", entries, err)
	}
}

func (l *faultLab) fullDisk(ctx context.Context, t *testing.T) {
	alone := l.write(t, "alone", l.KeyFile(), allHosts[2])
	l.broken(ctx, t, "n3", host.Disk, func() {
		wants(t, l.run(ctx, t, "apply", alone, "--yes", "-o", "json"), 5, "n3", diag.Preflight, "free space")
	})
	// The check sees it coming. What follows is a disk that fills up after it.
	text, err := os.ReadFile(alone)
	if err != nil {
		t.Fatal(err)
	}
	unchecked := strings.Replace(string(text), "\n  hosts:\n", "\n  checks: {disk: {severity: \"off\", reason: the test fills it}}\n  hosts:\n", 1)
	if err := os.WriteFile(alone, []byte(unchecked), 0o600); err != nil {
		t.Fatal(err)
	}
	l.broken(ctx, t, "n3", host.Disk, func() {
		wants(t, l.run(ctx, t, "apply", alone, "--yes", "-o", "json"), 1, "n3", diag.NoSpace, "free space")
		l.clean(ctx, t)
	})
	// Room for the agent and for records, none for what is uploaded.
	shell := func(script string) {
		t.Helper()
		if _, err := l.host("n3").Exec(context.WithoutCancel(ctx), "sh", "-c", script); err != nil {
			t.Fatal(err)
		}
	}
	shell("mount -t tmpfs -o size=16m,mode=0755 small /var/lib/kforge")
	defer shell("umount /var/lib/kforge")
	e := wants(t, l.run(ctx, t, "apply", alone, "--yes", "-o", "json"), 1, "n3", diag.NoSpace, "free space")
	if !strings.Contains(e.Error(), "are free") {
		t.Errorf("the error does not tell what is free: %v", e)
	}
	l.clean(ctx, t)
}

// interruptFetch fetches into a cache of its own, which stays without half files.
func (l *faultLab) interruptFetch(ctx context.Context, t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	before := checksums(ctx, t, l.Hosts)
	_, took := l.interrupt(ctx, t, 1, func(e event.Event) bool { return e.Event == event.Progress && strings.HasPrefix(e.Title, "fetch ") })
	if took > 5*time.Second {
		t.Errorf("it ended %s after ctrl-c", took)
	}
	for name, sum := range checksums(ctx, t, l.Hosts) {
		if before[name] != sum {
			t.Errorf("files of %s were changed", name)
		}
	}
}

func (l *faultLab) interruptUpload(ctx context.Context, t *testing.T) {
	r, _ := l.interrupt(ctx, t, 1, func(e event.Event) bool { return e.Event == event.Progress && e.Done > 1<<20 && e.Done < e.Total })
	ended(t, r)
}

func (l *faultLab) interruptTwice(ctx context.Context, t *testing.T) {
	if _, took := l.interrupt(ctx, t, 2, importing); took > 20*time.Second {
		t.Errorf("it ended %s after the second ctrl-c", took)
	}
}

func (l *faultLab) twoApplies(ctx context.Context, t *testing.T) {
	user, machine := os.Getenv("USER"), ""
	if user == "" {
		user = "root"
	}
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var second errgroup.Group
	var other result
	var took time.Duration
	met := false
	first, err := l.watch(ctx, func(e event.Event, p *os.Process) {
		if met || e.Event != event.StepStart {
			return
		}
		met = true
		second.Go(func() (err error) {
			start := time.Now()
			other, err = l.watch(ctx, nil, "apply", l.inventory, "--yes", "-o", "json")
			took = time.Since(start)
			if err == nil {
				err = p.Signal(os.Interrupt) // enough of the first
			}
			if e := other.events[len(other.events)-1].Error; other.code != 7 || e == nil || e.Host == "" ||
				!strings.Contains(e.Error(), fmt.Sprintf("%s@%s (pid %d)", user, machine, p.Pid)) || !strings.Contains(e.Hint, "wait for that run to end") {
				t.Errorf("the second apply ended with %d and %v, want 7 and the holder\n%s", other.code, e, other.stderr)
			}
			return err
		})
	}, "apply", l.inventory, "--yes", "-o", "json")
	if err := second.Wait(); err != nil {
		t.Fatal(err)
	}
	if err != nil || first.code != 130 {
		t.Fatalf("the first apply ended with %d, %v\n%s", first.code, err, first.stderr)
	}
	ended(t, first)
	if took > 10*time.Second {
		t.Errorf("the second apply took %s to be refused", took)
	}
}

func (l *faultLab) interruptInit(ctx context.Context, t *testing.T) {
	r, _ := l.interrupt(ctx, t, 1, func(e event.Event) bool {
		return e.Event == event.Output && strings.Contains(e.Step, "/init") && strings.Contains(e.Text, "[certs]")
	})
	ended(t, r)
	if _, err := l.host("n1").Exec(ctx, "test", "-s", "/etc/kubernetes/admin.conf"); err != nil {
		t.Errorf("kubeadm init was not let end: %v", err)
	}
}

// agentKilled: the run reconnects to the host whose agent was killed, and does
// without the one whose power was cut.
func (l *faultLab) agentKilled(ctx context.Context, t *testing.T) {
	killed, dead := false, false
	r, err := l.watch(ctx, func(e event.Event, _ *os.Process) {
		if !dead && e.Event == event.Output && e.Step == "n3/join" {
			dead = true
			if err := l.host("n3").Break(ctx, host.Power); err != nil {
				t.Error(err)
			}
		}
		if !killed && e.Event == event.Output && e.Step == "n2/join" && strings.Contains(e.Text, "[") {
			killed = true
			if _, err := l.host("n2").Exec(ctx, "sh", "-c", `for p in /proc/[0-9]*; do case "$(readlink $p/exe)" in */kforge-agent-*) kill -KILL "${p#/proc/}";; esac; done`); err != nil {
				t.Error(err)
			}
		}
	}, "apply", l.inventory, "--yes", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if !killed || !dead {
		t.Fatalf("n2 or n3 did not join:\n%s", lastEvents(r.events, 20))
	}
	wants(t, r, 3, "n3", diag.Unreachable, "")
	for _, h := range r.summary(t).Results {
		if h.Host != "n3" && h.Status == event.Failed {
			t.Errorf("%s failed: %v", h.Host, h.Error)
		}
	}
	if !slices.ContainsFunc(r.events, func(e event.Event) bool {
		return e.Event == event.Warning && e.Host == "n2" && strings.Contains(e.Text, "trying again")
	}) {
		t.Error("nothing was told of the lost agent of n2")
	}
	nodesReady(ctx, t, l.host("n1"), 2)
	if err := l.host("n3").Heal(ctx, host.Power); err != nil {
		t.Fatal(err)
	}
}

func (l *faultLab) comesBack(ctx context.Context, t *testing.T) {
	l.apply(ctx, t)
	// A node is Ready once its CNI configuration is there, a moment before the
	// network's own pod runs.
	kubectl(ctx, t, l.host("n1"), "--namespace", "kube-flannel", "rollout", "status", "daemonset/kube-flannel-ds", "--timeout=60s")
	healthy(ctx, t, l.Lab)
}

func (l *faultLab) cutOff(ctx context.Context, t *testing.T) {
	l.broken(ctx, t, "n3", host.Net, func() {
		r := l.run(ctx, t, "apply", l.inventory, "--yes", "-o", "json")
		wants(t, r, 3, "n3", diag.Unreachable, "")
		if s := r.summary(t); s.Changed != 0 {
			t.Errorf("%d changes because of a host that is cut off", s.Changed)
		}
		if nodes := kubectl(ctx, t, l.host("n1"), "get", "nodes", "-o", "name"); !strings.Contains(nodes, "node/n3") {
			t.Errorf("n3 was removed:\n%s", nodes)
		}
	})
	if s := l.apply(ctx, t); s.Changed != 0 || s.Mutating != 0 {
		t.Errorf("healed: %d changes, %d mutating requests", s.Changed, s.Mutating)
	}
}

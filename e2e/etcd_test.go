//go:build e2e && long

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/inventory"
)

// diskFull lets no byte more onto the disk that the third member of etcd has for
// itself: the other two go on, and it comes back by itself when there is room.
func (l *planesLab) diskFull(ctx context.Context, t *testing.T) {
	n3 := l.Hosts[2]
	step(t, "the disk of one member of etcd fills up, and the others go on", func(t *testing.T) {
		p := startProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint)
		shell(ctx, t, n3, "mount -o remount,size=$(df -k --output=used /var/lib/etcd | tail -1 | tr -d ' ')k /var/lib/etcd")
		// Its log is 64 MB long before it needs another file. A request that the
		// member leads when its disk is full may end with it, and is made again.
		shell(ctx, t, l.Hosts[0], `
export KUBECONFIG=/etc/kubernetes/admin.conf
head -c 900000 /dev/zero | tr '\0' x >/run/big
put() {
	for try in 1 2 3 4 5; do
		kubectl create configmap "$1" --from-file=/run/big >/dev/null && return
		kubectl get configmap "$1" >/dev/null && return
	done
	return 1
}
for i in $(seq 100); do put big-$i; done
rm /run/big`)
		err := proc.Until(ctx, time.Minute, "etcd status to tell of n3", func(ctx context.Context) error {
			r := l.run(ctx, t, "etcd", "status", l.inventory)
			if r.code != 1 || !strings.Contains(r.stdout, "n3") {
				return fmt.Errorf("exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			t.Log("\n" + r.stdout)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if r := l.run(ctx, t, "status", l.inventory); r.code == 0 {
			t.Errorf("status finds nothing wrong:\n%s", r.stdout)
		} else {
			t.Log("\n" + r.stdout)
		}
		p.report(t, "a full disk below one member of etcd")
		if p.lost() > 2*time.Second {
			t.Errorf("requests failed for %s in all, want at most 2 s", p.lost())
		}
		shell(ctx, t, n3, "mount -o remount,size=16g /var/lib/etcd")
		shell(ctx, t, l.Hosts[0], "kubectl --kubeconfig /etc/kubernetes/admin.conf get configmaps -o name | grep /big- | xargs kubectl --kubeconfig /etc/kubernetes/admin.conf delete >/dev/null")
		began := time.Now()
		err = proc.Until(ctx, 6*time.Minute, "all members of etcd to be healthy", func(ctx context.Context) error {
			if r := l.run(ctx, t, "etcd", "status", l.inventory); r.code != 0 {
				return fmt.Errorf("exit code %d:\n%s%s", r.code, r.stdout, r.stderr)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("n3 was back %s after there was room", time.Since(began).Round(time.Second))
		l.unchanged(ctx, t)
	})
}

// etcdBack takes a running cluster of three control planes through what etcd is
// kept for: it is saved with 1,000 ConfigMaps, and brought back from the same file
// when most members have lost their data, and when all control planes were
// destroyed while the workers live on.
func (l *planesLab) etcdBack(ctx context.Context, t *testing.T) {
	cp := l.Hosts[0]
	file := filepath.Join(t.TempDir(), "planes.db")
	var want saved

	step(t, "a control plane saves its etcd by itself, and keeps the newest", func(t *testing.T) {
		l.members(ctx, t)
		out := shell(ctx, t, cp, `
systemctl is-active kforge-etcd-snapshot.timer
systemctl start kforge-etcd-snapshot.service
touch /var/backups/etcd/foreign.db /var/backups/etcd/etcd-20200101T000000Z.db
sh $(systemctl show -P ExecStart kforge-etcd-snapshot.service | sed -n 's/.*argv\[\]=\([^;]*\) ;.*/\1/p' | sed 's/ 12 / 1 /')
ls -A /var/backups/etcd; cd /var/backups/etcd; sha256sum -c --quiet etcd-*.sha256; stat -c %a . etcd-*.db`)
		names := 0
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "etcd-") && strings.HasSuffix(line, ".db\n") {
				names++
			}
		}
		if names != 1 || !strings.HasPrefix(out, "active\n") || !strings.Contains(out, "foreign.db") || strings.Contains(out, "etcd-2020") || !strings.HasSuffix(out, "700\n600\n") {
			t.Errorf("want one snapshot of ours, of mode 600, and the file that is not:\n%s", out)
		}
	})

	step(t, "1,000 ConfigMaps are saved, whole and for their owner only", func(t *testing.T) {
		keepMaps(ctx, t, cp)
		r := l.run(ctx, t, "etcd", "snapshot", l.inventory, "--file", file, "--with-pki")
		if r.code != 0 {
			t.Fatalf("snapshot ended with %d:\n%s", r.code, r.stderr)
		}
		t.Log("\n" + r.stdout)
		for _, f := range []string{file, file + ".pki.tar", file + ".sha256"} {
			if fi, err := os.Stat(f); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, fi, err)
			}
		}
		if r := l.run(ctx, t, "etcd", "snapshot", l.inventory, "--file", file); r.code != 4 || !strings.Contains(r.stderr, "is there already") {
			t.Errorf("a second snapshot over the first ended with %d:\n%s", r.code, r.stderr)
		}
		if want = look(ctx, t, cp); want.maps != 1000 {
			t.Fatalf("%d ConfigMaps", want.maps)
		}
	})

	step(t, "two members lose their data, and all three come back", func(t *testing.T) {
		kubectl(ctx, t, cp, "create", "namespace", "later")
		for _, h := range l.Hosts[1:3] {
			shell(ctx, t, h, "rm -rf /var/lib/etcd/member; pkill -KILL -x etcd")
		}
		if r := l.run(ctx, t, "etcd", "restore", file, "-i", l.inventory); r.code != 6 {
			t.Fatalf("restore without consent ended with %d:\n%s", r.code, r.stderr)
		}
		l.restore(ctx, t, file)
		l.members(ctx, t)
		compare(ctx, t, cp, want)
		out := shell(ctx, t, cp, "ls -d /var/lib/etcd/member.before-restore-*; ls /etc/kubernetes/manifests; ls /etc/kubernetes/kforge-restore /var/lib/kforge/restore 2>&1 || true")
		if !strings.Contains(out, "before-restore") || !strings.Contains(out, "kube-scheduler.yaml") || strings.Contains(out, "snapshot.db") {
			t.Errorf("after the restore there is:\n%s", out)
		}
		controllers(ctx, t, cp)
	})

	step(t, "all control planes are destroyed, and come back with their workers", func(t *testing.T) {
		if err := site.Reset(ctx, site.Options{Hosts: len(l.Hosts), Log: testLog{t}}, "n1", "n2", "n3"); err != nil {
			t.Fatal(err)
		}
		l.restore(ctx, t, file)
		l.members(ctx, t)
		compare(ctx, t, cp, want)
		controllers(ctx, t, cp)
		l.healthy(ctx, t, len(l.Hosts))
		l.unchanged(ctx, t)
	})

	step(t, "defrag runs, and then has nothing to do", func(t *testing.T) {
		for range 2 {
			if r := l.run(ctx, t, "etcd", "defrag", l.inventory, "--yes"); r.code != 0 {
				t.Fatalf("defrag ended with %d:\n%s", r.code, r.stderr)
			}
		}
	})
}

// keepMaps makes 1,000 ConfigMaps.
func keepMaps(ctx context.Context, t *testing.T, cp *host.Host) {
	t.Helper()
	kubectl(ctx, t, cp, "create", "namespace", "kept")
	var list strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&list, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: kept}\ndata: {value: %q}\n---\n", i, strings.Repeat(fmt.Sprint(i), 50))
	}
	var out bytes.Buffer
	if err := cp.Stream(ctx, strings.NewReader(list.String()), io.Discard, &out, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "create", "-f", "-"); err != nil {
		t.Fatalf("creating ConfigMaps: %v\n%s", err, out.String())
	}
}

// members wants three healthy ones.
func (l *planesLab) members(ctx context.Context, t *testing.T) {
	t.Helper()
	r := l.run(ctx, t, "etcd", "status", l.inventory, "-o", "json")
	var view struct {
		Members []struct {
			Name            string
			Healthy, Leader bool
			Version         string
		}
		Voters, Healthy, Quorum int
	}
	if err := json.Unmarshal([]byte(r.stdout), &view); err != nil || r.code != 0 {
		t.Fatalf("status ended with %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if view.Voters != 3 || view.Quorum != 2 || view.Healthy != 3 || len(view.Members) != 3 {
		t.Fatalf("status: %+v", view)
	}
	leaders := 0
	for i, m := range view.Members {
		if m.Leader {
			leaders++
		}
		if m.Name != l.Hosts[i].Name || !m.Healthy || "v"+m.Version != l.Versions.Etcd {
			t.Errorf("member: %+v", m)
		}
	}
	if leaders != 1 {
		t.Errorf("%d leaders", leaders)
	}
}

// controllers waits until they work again: those of before hold their leases for
// some seconds still.
func controllers(ctx context.Context, t *testing.T, cp *host.Host) {
	t.Helper()
	kubectl(ctx, t, cp, "create", "namespace", "new")
	kubectl(ctx, t, cp, "wait", "--for=create", "serviceaccount/default", "-n", "new", "--timeout=2m")
	kubectl(ctx, t, cp, "delete", "namespace", "new")
}

// restore brings the cluster back from a file.
func (l *planesLab) restore(ctx context.Context, t *testing.T, file string) {
	t.Helper()
	r := l.run(ctx, t, "etcd", "restore", file, "-i", l.inventory, "--yes", "-o", "json")
	if r.code != 0 {
		t.Fatalf("restore ended with %d:\n%s\n%s", r.code, r.stderr, lastEvents(r.events, 25))
	}
	s := r.summary(t)
	t.Logf("restored: %d changes in %.1f s", s.Changed, s.Seconds)
}

// saved is what must be as it was.
type saved struct {
	maps    int
	sum     string   // of the ConfigMaps' content
	objects []string // all that stay as they are
}

// transient are kinds whose objects come and go by themselves: what kubelets,
// controllers and joining hosts make anew all the time.
var transient = []string{"componentstatuses", "events", "events.events.k8s.io", "leases.coordination.k8s.io", "pods", "certificatesigningrequests.certificates.k8s.io"}

func look(ctx context.Context, t *testing.T, cp *host.Host) saved {
	t.Helper()
	maps := kubectl(ctx, t, cp, "get", "configmaps", "-n", "kept", "--field-selector", "metadata.name!=kube-root-ca.crt",
		"-o", `jsonpath={range .items[*]}{.metadata.name}={.metadata.uid}={.data.value}{"\n"}{end}`)
	sum := sha256.Sum256([]byte(maps))
	s := saved{maps: strings.Count(maps, "\n"), sum: hex.EncodeToString(sum[:])}
	var kinds []string
	for kind := range strings.FieldsSeq(kubectl(ctx, t, cp, "api-resources", "--verbs=list", "-o", "name")) {
		if !slices.Contains(transient, kind) {
			kinds = append(kinds, kind)
		}
	}
	all := kubectl(ctx, t, cp, "get", strings.Join(kinds, ","), "-A", "-o",
		`jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}={.metadata.uid}{"\n"}{end}`)
	for line := range strings.Lines(all) {
		name, _, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(name, "Secret/kube-system/bootstrap-token-"), name == "Secret/kube-system/kubeadm-certs":
			continue // made anew for every join
		case strings.HasPrefix(name, "Node/"), strings.HasPrefix(name, "CSINode/"):
			line = name // a host that was destroyed joins as a new object
		}
		s.objects = append(s.objects, strings.TrimSpace(line))
	}
	slices.Sort(s.objects)
	return s
}

func compare(ctx context.Context, t *testing.T, cp *host.Host, want saved) {
	t.Helper()
	got := look(ctx, t, cp)
	if got.sum != want.sum || got.maps != want.maps {
		t.Errorf("%d ConfigMaps with the sum %s, want %d with %s", got.maps, got.sum, want.maps, want.sum)
	}
	for _, o := range want.objects {
		if !slices.Contains(got.objects, o) {
			t.Errorf("%s is gone", o)
		}
	}
	for _, o := range got.objects {
		if !slices.Contains(want.objects, o) {
			t.Errorf("%s was not there", o)
		}
	}
	t.Logf("%d objects and %d ConfigMaps with the sum %s are back", len(got.objects), got.maps, got.sum)
}

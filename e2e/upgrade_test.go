//go:build e2e && long

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
)

const (
	olderVersion = "v1.36.3"
	newerVersion = "v1.37.2"
)

// TestUpgrade brings a cluster of three control planes and two workers to the next
// minor, under load, and by several runs: the first one's machine dies half-way,
// then two hosts lose their power.
func TestUpgrade(t *testing.T) {
	ctx := t.Context()
	o := site.Options{Hosts: 5, Beside: []string{olderVersion}, Log: testLog{t}}
	lab, err := site.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.Reset(ctx, o); err != nil {
		t.Fatal(err)
	}
	l := &planesLab{lab, newKforge(t)}
	l.inventory = filepath.Join(t.TempDir(), "upgrade.yaml")
	defer l.down(context.WithoutCancel(ctx), t)
	l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane", "n4=worker", "n5=worker")
	l.version(t, olderVersion+" # what we began with")
	l.apply(ctx, t)
	nodesReady(ctx, t, l.Hosts[0], 5)

	step(t, "apply changes no version", func(t *testing.T) {
		l.version(t, newerVersion)
		r := l.run(ctx, t, "apply", l.inventory, "--yes")
		if r.code != 4 || !strings.Contains(r.stderr, "the cluster runs Kubernetes "+olderVersion) || !strings.Contains(r.stderr, "kforge upgrade --plan") {
			t.Errorf("apply ended with %d:\n%s", r.code, r.stderr)
		}
		l.version(t, olderVersion)
	})

	step(t, "the plan shows the way and changes nothing", func(t *testing.T) {
		before := checksums(ctx, t, l.Hosts[:1])
		r := l.run(ctx, t, "upgrade", l.inventory, "--to", "1.37", "--plan", "--detailed-exitcode")
		for _, want := range []string{
			"Upgrade of Kubernetes: " + olderVersion + " -> " + newerVersion, "run kubeadm upgrade " + newerVersion,
			"etcd 3.6.8-0 to 3.7.0-0, CoreDNS v1.14.2 to v1.14.6", "then workers, 1 at a time",
		} {
			if r.code != 2 || !strings.Contains(r.stdout, want) {
				t.Errorf("the plan ended with %d and does not tell %q:\n%s%s", r.code, want, r.stdout, r.stderr)
			}
		}
		if after := checksums(ctx, t, l.Hosts[:1]); after["n1"] != before["n1"] {
			t.Error("the plan changed files of n1")
		}
	})

	// The hosts have one machine between them: what each does keeps all busy.
	upgrade := []string{"upgrade", l.inventory, "--to", "1.37", "--parallel", "import=1,upload=1", "--yes", "-o", "json"}
	l.deploy(ctx, t)
	api := startProbe(ctx, t, l.Hosts[4], inventory.LocalEndpoint)
	service := l.probeService(ctx, t)
	began := time.Now()
	step(t, "the admin's machine dies while the second control plane is upgraded", func(t *testing.T) {
		var once sync.Once
		killed := errors.New("n2 was never upgraded")
		r, err := l.watch(ctx, func(e event.Event, p *os.Process) {
			if e.Event == event.StepStart && e.Step == "n2/upgrade" {
				once.Do(func() {
					// kubeadm tells nothing before its end. It has much to do still when
					// it has written this.
					killed = proc.Until(ctx, 3*time.Minute, "kubeadm to write the manifest of n2's etcd", func(ctx context.Context) error {
						_, err := l.Hosts[1].Exec(ctx, "grep", "-q", "etcd:3.7.0-0", "/etc/kubernetes/manifests/etcd.yaml")
						return err
					})
					killed = errors.Join(killed, p.Signal(syscall.SIGKILL))
				})
			}
		}, upgrade...)
		if err = errors.Join(err, killed); err != nil || r.code != -1 {
			t.Fatalf("kforge was not killed, and ended with %d: %v\n%s\nlast events:\n%s", r.code, err, r.stderr, lastEvents(r.events, 25))
		}
		tellSteps(t, r.events)
	})

	// What a power cut costs is another matter.
	measured := func() {
		api.stop()
		service.stop()
	}
	l.state = t.TempDir() // another machine goes on
	for _, cut := range []struct {
		what, step string
		host       *host.Host
	}{
		{"the third control plane", "n3/upgrade", l.Hosts[2]},
		{"a worker", "n4/kubelet", l.Hosts[3]},
	} {
		step(t, cut.what+" loses its power while it is upgraded", func(t *testing.T) {
			l.cutPower(ctx, t, cut.host, cut.step, measured, upgrade...)
		})
	}

	api.report(t, "the upgrade of two control planes, kforge being killed in the second")
	if api.lost() > time.Second {
		t.Errorf("requests of the API failed for %s in all, want at most 1 s", api.lost())
	}
	service.report(t, "the same, through the Service of a Deployment of three replicas")

	step(t, "the same command finishes it", func(t *testing.T) {
		r := l.run(ctx, t, upgrade...)
		if r.code != 0 {
			t.Fatalf("upgrade ended with %d:\n%s\nlast events:\n%s", r.code, r.stderr, lastEvents(r.events, 25))
		}
		t.Logf("five nodes upgraded in %s, the broken-off runs included", time.Since(began).Round(time.Second))
		tellSteps(t, r.events)
		versions := strings.Fields(kubectl(ctx, t, l.Hosts[0], "get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}"))
		if len(versions) != 5 || strings.Count(strings.Join(versions, " "), newerVersion) != 5 {
			t.Errorf("kubelets are %v", versions)
		}
		images := kubectl(ctx, t, l.Hosts[0], "-n", "kube-system", "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}")
		if strings.Contains(images, olderVersion) || strings.Count(images, "etcd:3.7.0-0") != 3 || !strings.Contains(images, "coredns:v1.14.6") {
			t.Errorf("images are %s", images)
		}
		if text := l.text(t); !strings.Contains(text, "version: "+newerVersion+"}") {
			t.Errorf("the inventory is\n%s", text)
		}
		saved, err := filepath.Glob(strings.TrimSuffix(l.inventory, ".yaml") + ".etcd-before-" + newerVersion + "-*.db")
		if err != nil || len(saved) == 0 {
			t.Fatalf("snapshots: %v, %v", saved, err)
		}
		for _, path := range saved {
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || st.Size() < 1<<20 {
				t.Errorf("snapshot %s: %v, %v", path, st, err)
			}
		}
	})
	step(t, "nothing is left to do", func(t *testing.T) {
		r := l.run(ctx, t, "upgrade", l.inventory, "--yes", "-o", "json")
		if s := r.summary(t); r.code != 0 || s.Changed != 0 {
			t.Errorf("another upgrade ended with %d, %d changes\n%s", r.code, s.Changed, r.stderr)
		}
		l.unchanged(ctx, t)
		l.healthy(ctx, t, 5)
	})
}

// tellSteps prints how long the longer steps took.
func tellSteps(t *testing.T, events []event.Event) {
	t.Helper()
	for _, e := range events {
		if e.Event == event.StepDone && e.Seconds >= 3 {
			t.Logf("  %6.1f s to %s  %s", e.Seconds, e.Time.UTC().Format(time.TimeOnly), e.Step)
		}
	}
}

// version writes a version into the inventory.
func (l *planesLab) version(t *testing.T, version string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(l.text(t)) {
		if !strings.Contains(line, "kubernetes:") {
			lines = append(lines, line)
		}
		if line == "spec:\n" {
			version, comment, _ := strings.Cut(version, " ")
			lines = append(lines, strings.TrimRight("  kubernetes: {version: "+version+"} "+comment, " ")+"\n")
		}
	}
	if err := os.WriteFile(l.inventory, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *planesLab) text(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// deploy runs three replicas of the probe behind a Service, of which a budget
// lets one go at a time.
func (l *planesLab) deploy(ctx context.Context, t *testing.T) {
	t.Helper()
	image := l.Registry + "/kforge.dev/lab/probe:v1"
	for _, h := range l.Hosts {
		if _, err := h.Exec(ctx, "ctr", "-n", "k8s.io", "images", "pull", "--plain-http", image); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := l.Hosts[0].Stream(ctx, strings.NewReader(fmt.Sprintf(loadManifest, image)), &out, &out,
		"kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "apply", "-f", "-")
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	kubectl(ctx, t, l.Hosts[0], "rollout", "status", "deployment/load", "--timeout=2m")
}

const loadManifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: load}
spec:
  replicas: 3
  selector: {matchLabels: {app: load}}
  template:
    metadata: {labels: {app: load}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: probe
          image: %s
          imagePullPolicy: Never
          args: [serve]
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
          lifecycle: {preStop: {sleep: {seconds: 3}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: load}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: load}}}
---
apiVersion: v1
kind: Service
metadata: {name: load}
spec: {selector: {app: load}, ports: [{port: 80, targetPort: 8080}]}
`

// probeService asks the Service from a control plane, whose own pods are not it.
func (l *planesLab) probeService(ctx context.Context, t *testing.T) *probe {
	t.Helper()
	ip := kubectl(ctx, t, l.Hosts[0], "get", "service", "load", "-o", "jsonpath={.spec.clusterIP}")
	return startProbeOf(ctx, t, l.Hosts[0], ip, func(ctx context.Context, door *ssh.Client) error {
		ctx, cancel := context.WithTimeout(ctx, probePatience)
		defer cancel()
		client := http.Client{Transport: &http.Transport{DialContext: door.DialContext, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+strings.TrimSpace(ip)+"/", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

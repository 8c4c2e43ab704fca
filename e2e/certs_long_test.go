//go:build e2e && long

package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/proc"
	"kforge.dev/kforge/pkg/inventory"
)

// TestCertificates is what the certificates of three control planes go through:
// generations without anybody, a renewal by command, and the end of them all.
func TestCertificates(t *testing.T) {
	ctx := t.Context()
	l := planesUp(ctx, t, 4)
	defer l.down(context.WithoutCancel(ctx), t)
	l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane", "n4=worker")
	text := strings.Replace(l.text(t), "spec:\n", `spec:
  certificates: {validity: 10m, renewal: {schedule: "*:0/1", jitter: 10s, left: 60}}
`, 1)
	if err := os.WriteFile(l.inventory, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l.apply(ctx, t)
	l.generations(ctx, t)
	l.rotate(ctx, t)
}

// generations waits until each control plane has renewed its certificates four
// times by its timer.
func (l *planesLab) generations(ctx context.Context, t *testing.T) {
	step(t, "certificates of ten minutes: four generations that nobody sees to, and no request fails", func(t *testing.T) {
		p := startPatientProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint, longPatience)
		seen := map[string]map[string]bool{}
		err := proc.Until(ctx, 25*time.Minute, "five certificates of each API server", func(ctx context.Context) error {
			least := 5
			for _, h := range l.Hosts[:3] {
				serial, err := h.Exec(ctx, "openssl", "x509", "-in", "/etc/kubernetes/pki/apiserver.crt", "-noout", "-serial")
				if err != nil {
					return err
				}
				if seen[h.Name] == nil {
					seen[h.Name] = map[string]bool{}
				}
				seen[h.Name][strings.TrimSpace(serial)] = true
				least = min(least, len(seen[h.Name]))
			}
			if least < 5 {
				return fmt.Errorf("one has had %d", least)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		p.report(t, "four generations of certificates")
		if p.lost() > 0 {
			t.Errorf("requests failed for %s in all", p.lost())
		}
		for _, h := range l.Hosts[:3] { // the last one may not be over yet
			err := proc.Until(ctx, time.Minute, "the journal to tell of four renewals", func(ctx context.Context) error {
				out, err := h.Exec(ctx, "journalctl", "--unit", "kforge-certs.service", "--no-pager", "--output", "cat")
				if err == nil && strings.Count(out, "renewed apiserver:") < 4 {
					err = fmt.Errorf("%s says\n%s", h.Name, out)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
		if events := kubectl(ctx, t, l.Hosts[0], "get", "events", "--field-selector", "reason=CertificatesRenewed", "-o", "name"); strings.Count(events, "event/") < 12 {
			t.Errorf("events of renewals:\n%s", events)
		}
	})
}

// rotate renews the certificates of three control planes, first while they are
// good and a client looks on, then when all have ended.
func (l *planesLab) rotate(ctx context.Context, t *testing.T) {
	step(t, "the timers can be switched off", func(t *testing.T) {
		l.write(t, "n1=control-plane", "n2=control-plane", "n3=control-plane", "n4=worker")
		if r := l.run(ctx, t, "certs", "schedule", "off", l.inventory, "--yes"); r.code != 0 {
			t.Fatalf("certs schedule ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		if text := l.text(t); !strings.Contains(text, "schedule: off") {
			t.Errorf("the inventory is\n%s", text)
		}
		for _, h := range l.Hosts[:3] {
			if out, err := h.Exec(ctx, "sh", "-c", "! systemctl is-enabled kforge-certs.timer && ! systemctl is-active kforge-certs.timer"); err != nil {
				t.Errorf("%s has a timer: %s", h.Name, out)
			}
		}
	})

	step(t, "all certificates of three control planes are renewed, and no request fails", func(t *testing.T) {
		before := l.serials(ctx, t)
		p := startPatientProbe(ctx, t, l.Hosts[3], inventory.LocalEndpoint, longPatience)
		began := time.Now()
		if r := l.run(ctx, t, "certs", "rotate", l.inventory, "--force", "--yes"); r.code != 0 {
			t.Fatalf("certs rotate ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		t.Logf("%.1f s for each control plane", time.Since(began).Seconds()/3)
		p.report(t, "a renewal of all certificates")
		if p.lost() > 0 {
			t.Errorf("requests failed for %s in all", p.lost())
		}
		for name, serial := range l.serials(ctx, t) {
			if before[name] == "" || before[name] == serial {
				t.Errorf("%s: %s before and %s after", name, before[name], serial)
			}
		}
		l.unchanged(ctx, t)
	})

	step(t, "a second time nothing is due", func(t *testing.T) {
		before := l.serials(ctx, t)
		if r := l.run(ctx, t, "certs", "rotate", l.inventory, "--yes"); r.code != 0 {
			t.Fatalf("certs rotate ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		for name, serial := range l.serials(ctx, t) {
			if before[name] != serial {
				t.Errorf("%s is new", name)
			}
		}
	})

	step(t, "everything has ended and the API is dead: one command brings it back", func(t *testing.T) {
		for _, h := range l.Hosts[:3] {
			shell(ctx, t, h, `sed 's/certificateValidityPeriod: .*/certificateValidityPeriod: 1m0s/' /etc/kubernetes/kforge-kubeadm.yaml >/run/short.yaml
kubeadm certs renew all --config /run/short.yaml; rm /run/short.yaml`)
		}
		err := proc.Until(ctx, 4*time.Minute, "the API to be dead", func(ctx context.Context) error {
			if out, err := l.Hosts[3].Exec(ctx, "kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "get", "--raw", "/readyz", "--request-timeout", "3s"); err == nil {
				return fmt.Errorf("it says %s", out)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := l.run(ctx, t, "certs", "status", l.inventory); r.code != 1 || !strings.Contains(r.stdout, "certificate apiserver ended") {
			t.Errorf("certs status ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		began := time.Now()
		if r := l.run(ctx, t, "certs", "rotate", l.inventory, "--yes"); r.code != 0 {
			t.Fatalf("certs rotate ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		t.Logf("back after %.1f s", time.Since(began).Seconds())
		l.healthy(ctx, t, 4)
		l.unchanged(ctx, t)
	})
}

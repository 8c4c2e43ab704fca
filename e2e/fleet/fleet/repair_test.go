package fleet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kube/kubetest"
	"kforge.dev/kforge/pkg/run"
)

// kubeletLives gives a host what its kubelet lives by.
func kubeletLives(t *testing.T, m *fleet.Machine, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: until.Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		"/var/lib/kubelet/config.yaml":                    "kind: KubeletConfiguration\n",
		"/var/lib/kubelet/pki/kubelet-client-current.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	} {
		if err := m.Host.WriteFile(path, content); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNodeRepair(t *testing.T) {
	t.Parallel()
	f := start(t, fleet.Options{Hosts: 3})
	var r record
	if err := apply(t.Context(), f, &r); err != nil {
		t.Fatal(err)
	}
	m := f.Machine("h003")
	repair := func(name string, rejoin bool) (told string, steps []string, err error) {
		t.Helper()
		var r record
		_, err = run.NodeRepair(t.Context(), world(f, &r), run.LeaveOptions{Options: options(f), Hosts: []string{name}}, rejoin)
		for _, e := range r.events {
			if e.Event == event.Notice && strings.HasPrefix(e.Text, name) {
				told = e.Text
			}
		}
		return told, r.ends("drain", "clean", "node", "join"), err
	}
	again := "h003/drain changed h003/clean changed h003/node changed h003/join changed"
	for _, tt := range []struct {
		name    string
		prepare func()
		rejoin  bool
		told    string
		steps   string
	}{
		{"nothing is wrong", func() { kubeletLives(t, m, time.Now().Add(time.Hour)) }, false, "nothing is found wrong with it", ""},
		{"asked to join anew", func() {}, true, "it is to join anew", again},
		{"data lost", func() {}, false, "/var/lib/kubelet/config.yaml is gone", again},
		{"certificate expired", func() { kubeletLives(t, m, time.Now().Add(-48*time.Hour)) }, false, "certificate expired on", again},
		{"certificate damaged", func() {
			kubeletLives(t, m, time.Now().Add(time.Hour))
			if err := m.Host.WriteFile("/var/lib/kubelet/pki/kubelet-client-current.pem", "garbage"); err != nil {
				t.Fatal(err)
			}
		}, false, "certificate cannot be read", again},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.prepare()
			told, steps, err := repair("h003", tt.rejoin)
			if err != nil || !strings.Contains(told, tt.told) || strings.Join(steps, " ") != tt.steps {
				t.Errorf("%v; told %q, want %q; steps %q", err, told, tt.told, steps)
			}
			if f.API.Get("/api/v1/nodes/h003") == nil {
				t.Error("h003 is no node")
			}
		})
	}

	// What apply can mend, apply mends: nothing is taken out.
	kubeletLives(t, m, time.Now().Add(time.Hour))
	u := m.Host.Unit("kubelet.service")
	u.Active, u.Sub = "inactive", "dead"
	m.Host.SetUnit("kubelet.service", u)
	node := f.API.Get("/api/v1/nodes/h003")
	f.API.SetController(func(_ string, o kubetest.Object) kubetest.Object { // the next change of the node finds it Ready
		return kubetest.Object{"conditions": []any{kubetest.Object{"type": "Ready", "status": "False"}}}
	})
	f.API.Put("/api/v1/nodes/h003", node)
	f.API.SetController(nil)
	waits, end := context.WithCancel(t.Context())
	defer end()
	go func() { // the node is Ready once its kubelet runs
		for m.Host.Unit("kubelet.service").Active != "active" {
			select {
			case <-waits.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
		node["status"] = kubetest.Object{"conditions": []any{kubetest.Object{"type": "Ready", "status": "True"}}}
		f.API.Put("/api/v1/nodes/h003", node)
	}()
	told, steps, err := repair("h003", false)
	if err != nil || !strings.Contains(told, "its node is not Ready; apply puts it right") || len(steps) > 0 || m.Host.Unit("kubelet.service").Active != "active" {
		t.Errorf("%v; told %q, steps %v, kubelet %v", err, told, steps, m.Host.Unit("kubelet.service").Active)
	}

	// The only control plane cannot be joined anew.
	_, _, err = repair("h001", true)
	if diag.KindOf(err) != diag.Preflight || !strings.Contains(diag.Hint(err), "etcd restore") {
		t.Errorf("the only control plane: %v, hint %q", err, diag.Hint(err))
	}
}

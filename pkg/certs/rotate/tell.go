package rotate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tellWithin is for the Event: a cluster that cannot take it is no reason to fail.
const tellWithin = 10 * time.Second

// Event says in the cluster what a rotation did, as an Event of the node. Nothing
// due is not told.
func (m *Machine) Event(ctx context.Context, node string, r *Result, failed error) error {
	if r == nil || len(r.Due) == 0 && failed == nil {
		return nil
	}
	kind, reason, message := "Normal", "CertificatesRenewed", "renewed "+strings.Join(r.Renewed, ", ")
	if len(r.Restarted) > 0 {
		message += "; restarted " + strings.Join(r.Restarted, ", ")
	}
	if failed != nil {
		kind, reason, message = "Warning", "CertificateRenewalFailed", failed.Error()
	}
	now := m.now().UTC().Format(time.RFC3339)
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Event",
		"metadata":       map[string]any{"generateName": "kforge-certs-", "namespace": eventsNamespace},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Node", "name": node, "uid": node}, // as the kubelet's own have it
		"type":           kind, "reason": reason, "message": fmt.Sprintf("%.1000s", message),
		"source":         map[string]any{"component": "kforge-certs", "host": node},
		"firstTimestamp": now, "lastTimestamp": now, "count": 1,
	})
	if err != nil {
		return err
	}
	client, err := m.apiClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return until(ctx, tellWithin, "tell the cluster", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://127.0.0.1:6443/api/v1/namespaces/"+eventsNamespace+"/events", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			said, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
			return fmt.Errorf("%s: %s", resp.Status, bytes.TrimSpace(said))
		}
		return nil
	})
}

// eventsNamespace is the namespace of events about objects that have none.
const eventsNamespace = "default"

// Metrics writes a file for the textfile collector of node_exporter: the ends of
// this host's certificates, and how the last rotation ended.
func (m *Machine) Metrics(path string, failed error) error {
	var b bytes.Buffer
	fmt.Fprint(&b, "# HELP kforge_certificate_not_after_seconds End of a certificate.\n# TYPE kforge_certificate_not_after_seconds gauge\n")
	for _, p := range m.read() {
		if p.cert != nil {
			fmt.Fprintf(&b, "kforge_certificate_not_after_seconds{name=%q,path=%q} %d\n", p.Name, p.Path, p.cert.NotAfter.Unix())
		}
	}
	bad := 0
	if failed != nil {
		bad = 1
	}
	fmt.Fprintf(&b, "# HELP kforge_certificate_renewal_failed Whether the last renewal failed.\n# TYPE kforge_certificate_renewal_failed gauge\nkforge_certificate_renewal_failed %d\n", bad)
	fmt.Fprintf(&b, "# HELP kforge_certificate_renewal_seconds When certificates were last looked at and renewed if due.\n# TYPE kforge_certificate_renewal_seconds gauge\nkforge_certificate_renewal_seconds %d\n", m.now().Unix())
	if err := os.MkdirAll(filepath.Dir(m.path(path)), 0o755); err != nil {
		return err
	}
	return writeFile(m.path(path), b.Bytes(), 0o644)
}

// apiClient speaks to this host's API server as its administrator.
func (m *Machine) apiClient() (*http.Client, error) {
	return m.client(kubernetesDir+"/pki/ca.crt", kubernetesDir+"/admin.conf", kubernetesDir+"/admin.conf")
}

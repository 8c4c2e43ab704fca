package node

import (
	"encoding/json"
	"fmt"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Files of the renewal of certificates that a control plane does on its own.
const (
	CertsProgram  = "/usr/local/sbin/kforge-certs"
	CertsSettings = "/etc/kubernetes/kforge-certs.json"
	CertsConfig   = "/etc/kubernetes/kforge-kubeadm.yaml" // kubeadm's, of this node
	CertsBackups  = "/var/backups/kforge-certs"
	CertsTimer    = "kforge-certs.timer"
	CertsService  = "kforge-certs.service"
)

// certsKept are how many backups of certificates stay.
const certsKept = 5

// CertRenewal is what a control plane needs to renew its certificates.
type CertRenewal struct {
	Node    string
	Program Artifact
	Config  []byte   // kubeadm's configuration
	SANs    []string // of the API server's certificate
	Renewal inventory.Renewal
}

// CertTools puts the program and its settings on a control plane, so that it can
// be run.
func CertTools(in CertRenewal) ([]spec.Resource, error) {
	say := map[string]any{
		"node": in.Node, "config": CertsConfig, "left": float64(in.Renewal.Left) / 100, "sans": in.SANs, "backups": CertsBackups, "keep": certsKept,
	}
	if in.Renewal.MetricsFile != "" {
		say["metrics"] = in.Renewal.MetricsFile
	}
	settings, err := json.MarshalIndent(say, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the settings of %s: %w", CertsProgram, err)
	}
	program := spec.Resource{ID: "file " + CertsProgram, Why: "renews this control plane's certificates", File: &spec.File{
		Path: CertsProgram, Mode: 0o755, Blob: &in.Program.Blob,
	}}
	return []spec.Resource{
		directory(CertsBackups, 0o700, "certificates and keys as they were before they were renewed"),
		program,
		file(CertsConfig, 0o600, in.Config, "names and lifetimes of certificates, for kubeadm"),
		file(CertsSettings, 0o600, append(settings, '\n'), "which certificates are renewed, and when"),
	}, nil
}

// CertTimer has the control plane renew its certificates without the admin's
// machine.
func CertTimer(r inventory.Renewal) ([]spec.Resource, error) {
	if r.Schedule == inventory.SnapshotsOff {
		const why = "renewal is off in the inventory"
		out := []spec.Resource{{ID: "unit " + CertsTimer, Why: why, Unit: &spec.Unit{Name: CertsTimer, Enabled: spec.Bool(false), State: "stopped"}}}
		for _, path := range []string{unitDir + CertsTimer, unitDir + CertsService} {
			gone := file(path, 0o644, nil, why)
			gone.File.Absent = true
			out = append(out, gone)
		}
		return out, nil
	}
	var out []spec.Resource
	data := map[string]any{"Program": CertsProgram, "Settings": CertsSettings, "Schedule": r.Schedule, "Jitter": r.Jitter}
	for _, name := range []string{CertsService, CertsTimer} {
		content, err := render(name, data)
		if err != nil {
			return nil, err
		}
		out = append(out, file(unitDir+name, 0o644, content, "certificates are renewed in time"))
	}
	return append(out, spec.Resource{
		ID: "unit " + CertsTimer, Why: "certificates are renewed in time",
		Unit: &spec.Unit{Name: CertsTimer, Enabled: spec.Bool(true), State: "running", RestartOn: []string{unitDir + CertsTimer}},
	}), nil
}

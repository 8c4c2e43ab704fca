package node

import (
	"io/fs"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/spec"
)

// Files of the snapshots that a control plane takes on its own.
const (
	SnapshotScript  = "/usr/local/sbin/kforge-etcd-snapshot"
	SnapshotTimer   = "kforge-etcd-snapshot.timer"
	SnapshotService = "kforge-etcd-snapshot.service"
	unitDir         = "/etc/systemd/system/"
)

// EtcdSnapshots has a control plane save its etcd by a timer, with the tools
// that are in etcd's own image: neither the admin's machine nor the API is
// needed, and nothing of kforge keeps running. Snapshots that are there already
// stay, also when no more are taken.
func EtcdSnapshots(s inventory.Snapshots, image string) ([]spec.Resource, error) {
	if s.Schedule == inventory.SnapshotsOff {
		return noEtcdSnapshots(), nil
	}
	data := map[string]any{
		"Script": SnapshotScript, "Directory": s.Directory, "Keep": s.Keep, "Image": image, "Schedule": s.Schedule,
	}
	out := []spec.Resource{directory(s.Directory, 0o700, "snapshots of etcd, which hold the cluster's secrets")}
	for _, f := range []struct {
		path, template, why string
		mode                fs.FileMode
	}{
		{SnapshotScript, "kforge-etcd-snapshot.sh", "saves etcd and keeps the newest snapshots", 0o755},
		{unitDir + SnapshotService, SnapshotService, "runs it", 0o644},
		{unitDir + SnapshotTimer, SnapshotTimer, "at " + s.Schedule, 0o644},
	} {
		content, err := render(f.template, data)
		if err != nil {
			return nil, err
		}
		out = append(out, file(f.path, f.mode, content, f.why))
	}
	return append(out, spec.Resource{
		ID: "unit " + SnapshotTimer, Why: "a lost cluster comes back from its last snapshot",
		Unit: &spec.Unit{Name: SnapshotTimer, Enabled: spec.Bool(true), State: "running", RestartOn: []string{unitDir + SnapshotTimer}},
	}), nil
}

func noEtcdSnapshots() []spec.Resource {
	const why = "snapshots are off in the inventory"
	out := []spec.Resource{{
		ID: "unit " + SnapshotTimer, Why: why,
		Unit: &spec.Unit{Name: SnapshotTimer, Enabled: spec.Bool(false), State: "stopped"},
	}}
	for _, path := range []string{unitDir + SnapshotTimer, unitDir + SnapshotService, SnapshotScript} {
		gone := file(path, 0o644, nil, why)
		gone.File.Absent = true
		out = append(out, gone)
	}
	return out
}

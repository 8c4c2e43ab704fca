package node_test

import (
	"testing"

	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

func TestEtcdSnapshots(t *testing.T) {
	t.Parallel()
	for golden, s := range map[string]inventory.Snapshots{
		"etcd-snapshots.txt":     {Schedule: "*-*-* 00/6:00", Keep: 12, Directory: "/var/backups/etcd"},
		"etcd-snapshots-off.txt": {Schedule: inventory.SnapshotsOff},
	} {
		got, err := node.EtcdSnapshots(s, "registry.k8s.io/etcd:3.7.0-0")
		judge(t, golden, got, err, "", "")
	}
}

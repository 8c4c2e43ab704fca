package plan_test

import (
	"testing"

	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

var snapshot = spec.Blob{Digest: "sha256:00", Size: 1 << 20, Name: "snapshot lab.db"}

func restoreHost(name, ip string) plan.RestoreHost {
	return plan.RestoreHost{Name: name, TimeoutScale: 1, Member: kubeadm.EtcdMember{
		Name: name, PeerURL: "https://" + ip + ":2380", DataDir: "/var/lib/etcd", Image: "registry.k8s.io/etcd:3.7.0-0", Clients: "127.0.0.1:2379",
	}}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	hosts := []plan.RestoreHost{restoreHost("n1", "10.0.0.11"), restoreHost("n2", "10.0.0.12"), restoreHost("n3", "10.0.0.13")}
	steps := plan.Restore(plan.RestoreInput{Hosts: hosts, Snapshot: snapshot, Stamp: "T"})
	p := &plan.Plan{Steps: steps}
	check(t, p)
	nodetest.Golden(t, "restore.txt", []byte(transcript(p)))
}

func TestRevisionsOnlyGoUp(t *testing.T) {
	t.Parallel()
	const day = 86_400_000
	first := int64(1_795_000_000_000)
	var reached int64                                                            // by what clients have seen
	for i, snapshot := range []int64{5_000, 5_000, first + day + 1_000, 5_000} { // the same one, a new one, the first once more
		at := first + int64(i)*day
		got := snapshot + plan.Bump(snapshot, at)
		if got <= reached {
			t.Errorf("restore %d goes on from %d, and clients have seen %d", i, got, reached)
		}
		reached = got + day/2 // 500 writes a second
	}
	if got := plan.Bump(first, 0); got < 1_000_000_000 { // a clock that is far off
		t.Errorf("the bump is %d", got)
	}
}

func TestRestoreFromNothing(t *testing.T) {
	t.Parallel()
	in := bare()
	in.Restore = &plan.Restored{
		Snapshot: snapshot, Nodes: []string{"n1", "n2"}, Stamp: "T",
		PKI: []plan.PKIFile{{Path: "/etc/kubernetes/pki/ca.crt", Content: []byte("cert")}, {Path: "/etc/kubernetes/pki/ca.key", Content: []byte("key")}},
	}
	in.Facts["n3"].Kubernetes.KubeletConf = true // a worker that was not lost
	p, err := plan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	check(t, p)
	nodetest.Golden(t, "restore-from-nothing.txt", []byte(transcript(p)))
	for _, s := range p.Steps {
		w, ok := s.Work.(*spec.HostWork)
		if !ok || s.ID != "n1/init" {
			continue
		}
		if c := w.Resources[0]; c.ID != kubeadm.RestoredInitID || len(c.Command.Recover) > 0 {
			t.Errorf("a second try of %s would reset the host, and lose its data", c.ID)
		}
	}
}

// An apply after a restore that broke off must not begin an empty cluster.
func TestBrokenRestoreIsNotOverwritten(t *testing.T) {
	t.Parallel()
	in := bare()
	in.Facts["n1"].Kubernetes.Interrupted = []string{kubeadm.RestoredInitID}
	in.Facts["n1"].Kubernetes.AdminConf = true
	if _, err := plan.Build(in); err == nil {
		t.Fatal("apply goes on where a restore broke off")
	}
	in.Restore = &plan.Restored{Snapshot: snapshot, Stamp: "T"}
	p, err := plan.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if w, ok := s.Work.(*spec.HostWork); ok && s.ID == "n1/data" {
			if w.Resources[0].ID != "command kubeadm reset" {
				t.Errorf("the restore begins with %s, on a host that an earlier one left half done", w.Resources[0].ID)
			}
			return
		}
	}
	t.Error("nothing is restored")
}

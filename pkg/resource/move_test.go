package resource_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

func TestMoveKeepsWhatItReplaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := spec.Resource{ID: "move", Move: &spec.Move{From: "/data/staged/member", To: "/data/member", Keep: "/data/member.before"}}
	_, err := f.apply(t, r)
	wantKind(t, err, diag.NotFound)

	f.write(t, "/data/staged/member/db", "new")
	f.write(t, "/data/member/db", "old")
	if got := f.converge(t, r); len(got) != 1 || got[0].Detail != "move to /data/member; what is there is kept as /data/member.before" {
		t.Errorf("changes = %+v", got)
	}
	if now, before := f.ReadFile("/data/member/db"), f.ReadFile("/data/member.before/db"); now != "new" || before != "old" {
		t.Errorf("there is %q, kept is %q", now, before)
	}
	f.settled(t, r)

	// A second time under the same name would lose the first: it is refused.
	f.write(t, "/data/staged/member/db", "newer")
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Foreign)
	if before := f.ReadFile("/data/member.before/db"); before != "old" {
		t.Errorf("kept is %q", before)
	}
}

func TestMoveWithoutKeep(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	aside := spec.Resource{ID: "aside", Move: &spec.Move{From: "/manifests/etcd.yaml", To: "/aside/etcd.yaml"}}
	back := spec.Resource{ID: "back", Move: &spec.Move{From: "/aside/etcd.yaml", To: "/manifests/etcd.yaml"}}
	f.write(t, "/manifests/etcd.yaml", "pod")
	// A plan knows that what an earlier step moves away will be there to be
	// moved back.
	plan, err := resource.Plan(t.Context(), f.env, []spec.Resource{aside, back})
	if err != nil || len(plan) != 2 || plan[1].Pending == "" {
		t.Fatalf("plan = %+v, %v", plan, err)
	}
	f.converge(t, aside)
	f.settled(t, aside)
	f.write(t, "/manifests/etcd.yaml", "somebody's")
	_, err = f.apply(t, back)
	wantKind(t, err, diag.Foreign)
	if err := os.Remove(filepath.Join(f.Root, "manifests/etcd.yaml")); err != nil {
		t.Fatal(err)
	}
	f.converge(t, back)
	if got := f.ReadFile("/manifests/etcd.yaml"); got != "pod" {
		t.Errorf("the file is %q", got)
	}
}

func TestEndedWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	r := spec.Resource{ID: "ended", Ended: &spec.Ended{Addresses: []string{addr}, TimeoutSeconds: 1}}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Timeout)
	if !strings.Contains(err.Error(), addr) || diag.Hint(err) == "" {
		t.Errorf("error is %v, hint %q", err, diag.Hint(err))
	}
	r.Ended.TimeoutSeconds = 30
	stop := time.AfterFunc(300*time.Millisecond, func() { l.Close() })
	defer stop.Stop()
	if got := f.converge(t, r); len(got) != 1 || got[0].Action != spec.Stop || got[0].Detail != "what answers at "+addr {
		t.Errorf("changes = %+v", got)
	}
	f.settled(t, r)
	f.write(t, "/pods/0123/containers/etcd", "")
	r.Ended.Paths, r.Ended.TimeoutSeconds = []string{"/pods/????/containers/etcd"}, 1
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Timeout)
	if err := os.RemoveAll(filepath.Join(f.Root, "pods/0123")); err != nil {
		t.Fatal(err)
	}
	f.settled(t, r)
	r.Ended.Addresses = []string{"nonsense"}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Invalid)
}

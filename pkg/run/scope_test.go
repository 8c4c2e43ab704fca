package run

import (
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kube"
)

// Of the hosts that were not asked for, only control planes are reached.
func TestScopeReachesControlPlanes(t *testing.T) {
	t.Parallel()
	c := &inventory.Cluster{Hosts: []inventory.ResolvedHost{
		{Name: "n1", Roles: []string{inventory.RoleControlPlane}},
		{Name: "n2", Roles: []string{inventory.RoleWorker}},
		{Name: "n3", Roles: []string{inventory.RoleWorker}},
	}}
	s, err := newScope(c, []string{"n3"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var contact []string
	for _, h := range s.contact(c) {
		contact = append(contact, h.Name)
	}
	got := [][]string{s.asked, contact, s.notAsked(c)}
	if d := cmp.Diff([][]string{{"n3"}, {"n1", "n3"}, {"n1", "n2"}}, got); d != "" {
		t.Errorf("asked, reached, not asked (-want +got):\n%s", d)
	}
}

func TestParallelism(t *testing.T) {
	t.Parallel()
	got, err := Options{Parallel: map[string]int{"upload": 4, "dial": 8}}.parallelism()
	if d := cmp.Diff(map[string]int{"dial": 8, "upload": 4, "import": 0, "join": 32}, got); err != nil || d != "" {
		t.Errorf("parallelism: %v (-want +got):\n%s", err, d)
	}
	for _, o := range []Options{{Parallel: map[string]int{"init": 2}}, {Parallel: map[string]int{"join": 0}}, {MaxFailures: -1}} {
		if _, err := o.parallelism(); diag.KindOf(err) != diag.Invalid {
			t.Errorf("%+v: %v, want invalid", o, err)
		}
	}
}

func TestSlots(t *testing.T) {
	t.Parallel()
	if err := newSlots(0).take(nil); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	s, ended := newSlots(1), make(chan struct{})
	if err := s.take(ended); err != nil {
		t.Fatal(err)
	}
	close(ended)
	if err := s.take(ended); diag.KindOf(err) != diag.Canceled {
		t.Errorf("no slot, and the run ended: %v, want canceled", err)
	}
	s.give()
}

// A holder is gone only when it was a process of this machine that is no more.
func TestGone(t *testing.T) {
	t.Parallel()
	if machineNow() == "" {
		t.Fatal("the system does not tell its boot")
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	dead := cmd.Process.Pid
	for _, tt := range []struct {
		name string
		h    kube.Holder
		want bool
	}{
		{"dead here", kube.Holder{Machine: machineNow(), PID: dead}, true},
		{"alive here", kube.Holder{Machine: machineNow(), PID: os.Getpid()}, false},
		{"elsewhere", kube.Holder{Machine: "other", PID: dead}, false},
		{"unknown", kube.Holder{PID: dead}, false},
		{"no process", kube.Holder{Machine: machineNow()}, false},
	} {
		if got := gone(tt.h); got != tt.want {
			t.Errorf("%s: gone = %v", tt.name, got)
		}
	}
}

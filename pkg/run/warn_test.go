package run

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
)

func TestWarnTellsWhatIsTheSameOnce(t *testing.T) {
	t.Parallel()
	var got []string
	s := &session{
		cluster: &inventory.Cluster{Hosts: make([]inventory.ResolvedHost, 3)},
		sink:    func(e event.Event) { got = append(got, e.Host+"|"+e.Text+"|"+e.Hint) },
	}
	s.warn([]note{
		{"n1", "cgroup v1", "boot"}, {"n1", "full", "free"}, {"n2", "cgroup v1", "boot"}, {"n3", "cgroup v1", "boot"},
		{"n2", "slow", "wait"}, {"n3", "slow", "wait"}, {"", "machine-ids", "change"},
	})
	want := []string{"|all 3 hosts: cgroup v1|boot", "n1|full|free", "|2 hosts (n2, n3): slow|wait", "|machine-ids|change"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
	many := []string{"a", "b", "c", "d", "e", "f", "g"}
	if got, want := several(many, 9), "7 hosts (a, b, c, d, e and 2 more)"; got != want {
		t.Errorf("several = %q, want %q", got, want)
	}
}

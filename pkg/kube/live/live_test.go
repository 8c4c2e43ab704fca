package live

import (
	"slices"
	"testing"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ labels, want []string }{
		{nil, []string{"worker"}},
		{[]string{"kubernetes.io/hostname", "node-role.kubernetes.io/"}, []string{"worker"}},
		{[]string{"node-role.kubernetes.io/worker", "node-role.kubernetes.io/control-plane"}, []string{"control-plane", "worker"}},
	} {
		n := Node{Labels: map[string]string{}}
		for _, l := range tc.labels {
			n.Labels[l] = ""
		}
		if got := n.Roles(); !slices.Equal(got, tc.want) {
			t.Errorf("roles by %q: %q, want %q", tc.labels, got, tc.want)
		}
	}
}

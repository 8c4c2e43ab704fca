package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	c := &Cluster{File: "lab.yaml", Hosts: []ResolvedHost{
		{Name: "n1", Roles: []string{RoleControlPlane}},
		{Name: "n2", Class: "hadoop", Roles: []string{RoleWorker}},
		{Name: "n3", Class: "hadoop", Roles: []string{RoleWorker}},
		{Name: "gpu1", Class: "gpu", Roles: []string{RoleWorker}},
	}}
	tests := []struct {
		name        string
		limit, skip []string
		want        string
		err         string
	}{
		{name: "all", want: "n1 n2 n3 gpu1"},
		{name: "names in the file's order", limit: []string{"n3", "n1", "n3"}, want: "n1 n3"},
		{name: "pattern", limit: []string{"n[23]"}, want: "n2 n3"},
		{name: "class and role", limit: []string{"class:gpu", "role:control-plane"}, want: "n1 gpu1"},
		{name: "skip", skip: []string{"class:hadoop"}, want: "n1 gpu1"},
		{name: "limit less skip", limit: []string{"n*"}, skip: []string{"n2"}, want: "n1 n3"},
		{name: "a typo", limit: []string{"gpu2"}, err: `no host matches "gpu2" (did you mean "gpu1"?)`},
		{name: "a typo in skip", skip: []string{"n4*"}, err: `no host matches "n4*"`},
		{name: "a class", limit: []string{"class:hadop"}, err: `no host matches "class:hadop" (did you mean "hadoop"?)`},
		{name: "no class", limit: []string{"class:"}, err: `no host matches "class:"`},
		{name: "a role", limit: []string{"role:master"}, err: `no host matches "role:master"`},
		{name: "empty", limit: []string{""}, err: `no host matches ""`},
		{name: "bad pattern", limit: []string{"n["}, err: `"n[" is not a pattern of names`},
		{name: "nobody", limit: []string{"n2"}, skip: []string{"class:hadoop"}, err: "no host is left of 4"},
		{name: "all errors", limit: []string{"x1", "y1"}, err: `"y1"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := c.Select(tt.limit, tt.skip)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || diag.KindOf(err) != diag.Invalid {
					t.Fatalf("Select = %v, %v (%q), want invalid: %s", got, err, diag.KindOf(err), tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
				t.Errorf("Select (-want +got):\n%s", d)
			}
		})
	}
}

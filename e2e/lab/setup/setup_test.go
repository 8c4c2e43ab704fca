package setup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMissingNamesEachPackageOnce(t *testing.T) {
	t.Parallel()
	got := missing([]tool{
		{Package: "dash", Program: "sh"},
		{Package: "ghost", Program: "no-such-program-a"},
		{Package: "ghost", Program: "no-such-program-b"},
		{Package: "spirit", File: "/no/such/file"},
		{Package: "base-files", File: "/etc/passwd"},
	})
	if diff := cmp.Diff([]string{"ghost", "spirit"}, got); diff != "" {
		t.Errorf("missing() (-want +got):\n%s", diff)
	}
}

package artifact

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFor(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, etcd, coredns, err string }{
		{in: "v1.37.2", etcd: "v3.7.0", coredns: "v1.14.6"},
		{in: "v1.36.3", etcd: "v3.6.8", coredns: "v1.14.2"},
		{in: "v1.35.4", etcd: "v3.6.6", coredns: "v1.13.1"},
		{in: "1.37.2", err: "want the form v1.37.2"},
		{in: "v1.37", err: "want the form v1.37.2"},
		{in: "v1.20.1", err: "not in the lab's table, which has v1.35, v1.36, v1.37"},
	} {
		got, err := For(tc.in)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("For(%s) = %v, want error with %q", tc.in, err, tc.err)
			}
			continue
		}
		if err != nil || got.Kubernetes != tc.in || got.Etcd != tc.etcd || got.CoreDNS != tc.coredns {
			t.Errorf("For(%s) = %+v, %v", tc.in, got, err)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	v, err := For(DefaultKubernetes)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range groups(v) {
		if seen[g.Name] {
			t.Errorf("group %s is there twice", g.Name)
		}
		seen[g.Name] = true
		if g.Source == "" && len(g.Modules) == 0 {
			t.Errorf("group %s: want modules or a source", g.Name)
		}
		if g.Cgo && !strings.Contains(g.Tags, "netgo") {
			t.Errorf("group %s is static with cgo: name look-ups need netgo", g.Name)
		}
	}
	flags := kubernetes("v1.36.3").LDFlags
	for _, want := range []string{"gitVersion=v1.36.3", "gitMajor=1 ", "gitMinor=36 ", "gitTreeState=clean", "gitCommit=0", "buildDate=2026"} {
		if !strings.Contains(flags, want) {
			t.Errorf("ldflags %q lack %q", flags, want)
		}
	}
}

func TestParseStaging(t *testing.T) {
	t.Parallel()
	got := parseStaging(`module k8s.io/kubernetes

require k8s.io/api v0.0.0

replace (
	k8s.io/api => ./staging/src/k8s.io/api
	example.com/other => ../other
	k8s.io/client-go => ./staging/src/k8s.io/client-go
)
replace k8s.io/kubelet => ./staging/src/k8s.io/kubelet
`)
	if diff := cmp.Diff([]string{"k8s.io/api", "k8s.io/client-go", "k8s.io/kubelet"}, got); diff != "" {
		t.Errorf("parseStaging() (-want +got):\n%s", diff)
	}
}

func TestGoMod(t *testing.T) {
	t.Parallel()
	got, err := goMod(t.Context(), group{Name: "etcd", Modules: []string{"go.etcd.io/etcd/server/v3@v3.7.0"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "module kforge.dev/lab/build/etcd\n\ngo 1.26.0\n\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.7.0\n)\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("goMod() (-want +got):\n%s", diff)
	}
}

func TestBuiltName(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string]string{
		"go.etcd.io/etcd/server/v3":                            "server",
		"github.com/coredns/coredns":                           "coredns",
		"github.com/containerd/containerd/v2/cmd/ctr":          "ctr",
		"github.com/containernetworking/plugins/plugins/va/v6": "va",
	} {
		if got := builtName(pkg); got != want {
			t.Errorf("builtName(%s) = %s, want %s", pkg, got, want)
		}
	}
}

func TestBuildOwnProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := goBuild(t.Context(), own("pause"), dir, ""); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "pause")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("pause = %v, %v, want a program", info, err)
	}
}

func TestKeyFollowsRecipe(t *testing.T) {
	t.Parallel()
	a := Key{"etcd", "v3.7.0", group{Name: "etcd", LDFlags: "-X a=b"}}
	b := Key{"etcd", "v3.7.0", group{Name: "etcd", LDFlags: "-X a=c"}}
	if a.String() == b.String() || a.String() != (Key{"etcd", "v3.7.0", a.Recipe}).String() {
		t.Errorf("keys %s and %s: want them to differ by recipe only", a, b)
	}
	if !strings.HasPrefix(a.String(), "etcd-v3.7.0-") {
		t.Errorf("key %s does not tell what it is of", a)
	}
}

func TestStoreBuildsOnceAndWhole(t *testing.T) {
	t.Parallel()
	store := &Store{Dir: t.TempDir(), Log: io.Discard}
	key := Key{Name: "thing", Version: "v1"}
	broken := errors.New("broken")
	fill := func(err error) func(context.Context, string) error {
		return func(_ context.Context, dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "file"), nil, 0o644), err)
		}
	}
	if _, err := store.Ensure(t.Context(), key, fill(broken)); !errors.Is(err, broken) {
		t.Fatalf("Ensure() = %v, want %v", err, broken)
	}
	if left, err := os.ReadDir(filepath.Join(store.Dir, "artifacts")); err != nil || len(left) != 0 {
		t.Fatalf("after a failed build: %v, %v, want nothing", left, err)
	}
	dir, err := store.Ensure(t.Context(), key, fill(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Ensure(t.Context(), key, func(context.Context, string) error { return broken }); err != nil {
		t.Errorf("Ensure() = %v, want the finished artifact", err)
	}
}

package bundle

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestCatalogueGolden(t *testing.T) {
	t.Parallel()
	items, err := CatalogueAll([]string{"v1.37.2", "v1.36.3", "v1.35.4"}, []string{"amd64", "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, i := range items {
		fmt.Fprintf(&b, "%-5s %-40s %s %s\n", i.Kind, i, i.Source(), strings.Join(i.Roles, ","))
	}
	const golden = "testdata/catalogue.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), b.String()); d != "" {
		t.Errorf("catalogue (-want +got):\n%s", d)
	}
}

func TestCatalogueRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		version, arch string
		want          diag.Kind
	}{
		{"1.37.2", "amd64", diag.Invalid},
		{"v1.37", "amd64", diag.Invalid},
		{"v1.30.1", "amd64", diag.Unsupported},
		{"v1.37.2", "riscv64", diag.Unsupported},
	} {
		if _, err := Catalogue(tt.version, tt.arch); diag.KindOf(err) != tt.want {
			t.Errorf("Catalogue(%s, %s) = %v, want kind %s", tt.version, tt.arch, err, tt.want)
		}
	}
}

func TestItemsAccessors(t *testing.T) {
	t.Parallel()
	items, err := Catalogue("v1.37.2", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	coredns, err := items.Image("coredns")
	if err != nil {
		t.Fatal(err)
	}
	if coredns.Repository() != "registry.k8s.io/coredns/coredns" || coredns.Tag() != "v1.14.6" {
		t.Errorf("coredns is %s and %s", coredns.Repository(), coredns.Tag())
	}
	if _, err := items.For(Worker).Image("etcd"); diag.KindOf(err) != diag.NotFound {
		t.Errorf("a worker needs etcd? %v", err)
	}
	if _, err := items.For(ControlPlane).File("kubelet"); err != nil {
		t.Error(err)
	}
	if got, want := len(items.Files())+len(items.Images()), len(items); got != want {
		t.Errorf("files and images are %d of %d", got, want)
	}
}

func TestParseChecksum(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("ab", 32)
	other := strings.Repeat("cd", 32)
	for name, tt := range map[string]struct{ in, want string }{
		"alone":       {hex, hex},
		"sha256sum":   {other + "  runc.arm64\n" + hex + "  runc.amd64\n", hex},
		"binary mark": {hex + " *runc.amd64\n", hex},
		"signed":      {"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + hex + "  runc.amd64\n-----BEGIN", hex},
		"other file":  {other + "  runc.arm64\n", ""},
		"nothing":     {"<html>not found</html>", ""},
	} {
		got, err := parseChecksum(strings.NewReader(tt.in), "runc.amd64")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "kforge.dev/kforge/"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// TestWalls keeps the packages where the architecture puts them, and prints the
// import path that broke a wall.
func TestWalls(t *testing.T) {
	t.Parallel()
	all := list(t)

	// What runs on hosts is small, static and knows nothing of Kubernetes.
	t.Run("agent", func(t *testing.T) {
		allowed := []string{"wire", "spec", "resource", "facts", "agent", "diag"}
		walk(all, module+"cmd/kforge-agent", func(p goPackage, path []string) {
			if p.Standard || strings.HasPrefix(p.ImportPath, "golang.org/x/sys") || len(path) == 1 {
				return
			}
			own, isOwn := strings.CutPrefix(p.ImportPath, module+"pkg/")
			top, _, _ := strings.Cut(own, "/")
			if !isOwn || !slices.Contains(allowed, top) || p.ImportPath == module+"pkg/diag/errlist" {
				t.Errorf("the agent must not reach %s:\n  %s", p.ImportPath, strings.Join(path, "\n  "))
			}
		})
	})

	// A library has one door: these packages import it, nobody else does.
	doors := map[string][]string{
		"k8s.io/client-go":                       {"pkg/kube", "pkg/kubeadm"},
		"k8s.io/kubernetes":                      {"pkg/kubeadm"},
		"go.etcd.io":                             {"pkg/etcd"},
		"golang.org/x/crypto/ssh":                {"pkg/ssh", "e2e/"},
		"github.com/pkg/sftp":                    {"pkg/ssh"},
		"github.com/spf13/cobra":                 {"pkg/cli"},
		"github.com/hashicorp":                   {"pkg/diag/errlist"},
		"github.com/google/go-containerregistry": {"pkg/bundle", "e2e/"},
	}
	t.Run("doors", func(t *testing.T) {
		for _, p := range all {
			own, isOwn := strings.CutPrefix(p.ImportPath, module)
			if !isOwn {
				continue
			}
			for lib, owners := range doors {
				for _, imp := range p.Imports {
					if within(imp, lib) && !slices.ContainsFunc(owners, func(o string) bool { return within(own, strings.TrimSuffix(o, "/")) }) {
						t.Errorf("%s imports %s, which only %s may", p.ImportPath, imp, strings.Join(owners, " and "))
					}
				}
			}
		}
	})

	// The core decides and never acts: it reaches neither executor.
	t.Run("core", func(t *testing.T) {
		actors := []string{"host", "ssh", "kube", "etcd", "bundle", "agent", "resource", "engine", "run", "cli"}
		for _, core := range []string{"plan", "preflight", "report", "node", "kubeadm", "certs", "addon", "reset", "inventory", "graph", "spec", "facts", "event", "diag", "wire"} {
			walk(all, module+"pkg/"+core, func(p goPackage, path []string) {
				own, _ := strings.CutPrefix(p.ImportPath, module+"pkg/")
				if slices.Contains(actors, own) {
					t.Errorf("%s decides and must not reach %s:\n  %s", core, own, strings.Join(path, "\n  "))
				}
			})
		}
	})
}

func within(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// walk visits everything that root imports, with the shortest path to it.
func walk(all map[string]goPackage, root string, visit func(goPackage, []string)) {
	type item struct {
		name string
		path []string
	}
	seen := map[string]bool{root: true}
	for queue := []item{{root, []string{root}}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		p, ok := all[at.name]
		if !ok {
			continue
		}
		visit(p, at.path)
		for _, imp := range p.Imports {
			if !seen[imp] {
				seen[imp] = true
				queue = append(queue, item{imp, append(slices.Clone(at.path), imp)})
			}
		}
	}
}

func list(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports", module+"...")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all := map[string]goPackage{}
	dec := json.NewDecoder(&out)
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	if _, ok := all[module+"cmd/kforge-agent"]; !ok {
		t.Fatal("go list did not tell of the agent")
	}
	return all
}

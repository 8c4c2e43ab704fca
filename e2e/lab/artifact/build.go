package artifact

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"kforge.dev/kforge/e2e/lab/proc"
)

// goBuild builds the programs of g into dir. goCache is the build cache to use; empty means Go's own.
func goBuild(ctx context.Context, g group, dir, goCache string) error {
	module, err := os.MkdirTemp("", "kforge-lab-"+g.Name+"-")
	if err != nil {
		return fmt.Errorf("making a module directory: %w", err)
	}
	defer os.RemoveAll(module)
	text, err := goMod(ctx, g)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing go.mod: %w", err)
	}
	if g.Source != "" {
		if err := os.WriteFile(filepath.Join(module, "main.go"), []byte(g.Source), 0o644); err != nil {
			return fmt.Errorf("writing main.go: %w", err)
		}
	}
	if err := (proc.Command{Args: goArgs(g, dir), Dir: module, Env: goEnv(g, goCache)}).Run(ctx); err != nil {
		return err
	}
	if err := rename(g, dir); err != nil {
		return err
	}
	return copies(ctx, g, dir)
}

func goArgs(g group, dir string) []string {
	ldflags := "-s -w"
	if g.Cgo {
		ldflags += ` -linkmode external -extldflags "-static"`
	}
	if g.LDFlags != "" {
		ldflags += " " + g.LDFlags
	}
	args := []string{"go", "build", "-mod=mod", "-p", "2", "-ldflags", ldflags, "-o", dir + "/"}
	if g.Tags != "" {
		args = append(args, "-tags", g.Tags)
	}
	for _, p := range g.Programs {
		args = append(args, p.Package)
	}
	return args
}

// goFlags are those of the Makefile, so that both compile into the same entries of the build cache.
const goFlags = "-trimpath -buildvcs=false '-gcflags=all=-dwarf=false -l'"

func goEnv(g group, goCache string) []string {
	cgo := "CGO_ENABLED=0"
	if g.Cgo {
		cgo = "CGO_ENABLED=1"
	}
	// GOGC: the compiler collects garbage less often, memory for time.
	env := []string{cgo, "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=" + goFlags, "GOGC=300"}
	if goCache != "" {
		env = append(env, "GOCACHE="+goCache)
	}
	return env
}

var majorSuffix = regexp.MustCompile(`^v[0-9]+$`)

// builtName is the file name that go build gives to the program of a package: a major version is not a name.
func builtName(pkg string) string {
	if base := path.Base(pkg); !majorSuffix.MatchString(base) {
		return base
	}
	return path.Base(path.Dir(pkg))
}

func rename(g group, dir string) error {
	for _, p := range g.Programs {
		if built := builtName(p.Package); built != p.Name {
			if err := os.Rename(filepath.Join(dir, built), filepath.Join(dir, p.Name)); err != nil {
				return fmt.Errorf("naming %s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// goMod is the text of the generated go.mod: the required modules, and the staging modules' replacements where there are any.
func goMod(ctx context.Context, g group) (string, error) {
	var b strings.Builder
	name := "kforge.dev/lab/build/" + g.Name
	if g.Source != "" {
		name = g.Programs[0].Package
	}
	fmt.Fprintf(&b, "module %s\n\ngo 1.26.0\n\nrequire (\n", name)
	for _, m := range g.Modules {
		fmt.Fprintf(&b, "\t%s\n", strings.Replace(m, "@", " ", 1))
	}
	b.WriteString(")\n")
	if g.Staging == "" {
		return b.String(), nil
	}
	staged, err := stagingModules(ctx, g.Staging)
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(g.Staging, "@")
	version = strings.Replace(version, "v1.", "v0.", 1)
	b.WriteString("\nreplace (\n")
	for _, m := range staged {
		fmt.Fprintf(&b, "\t%s => %s %s\n", m, m, version)
	}
	b.WriteString(")\n")
	return b.String(), nil
}

// stagingModules asks the module's own go.mod which modules it keeps in ./staging, so that the list is right for every version.
func stagingModules(ctx context.Context, module string) ([]string, error) {
	found, err := download(ctx, module)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(found.GoMod)
	if err != nil {
		return nil, fmt.Errorf("reading the go.mod of %s: %w", module, err)
	}
	staged := parseStaging(string(text))
	if len(staged) == 0 {
		return nil, fmt.Errorf("the go.mod of %s names no staging module", module)
	}
	return staged, nil
}

// downloaded tells where the Go module cache has a module.
type downloaded struct {
	Dir   string // its files
	GoMod string // its go.mod, also when the module has none of its own
}

func download(ctx context.Context, module string) (downloaded, error) {
	out, err := proc.Command{Args: []string{"go", "mod", "download", "-json", module}, Dir: os.TempDir()}.Output(ctx)
	if err != nil {
		return downloaded{}, err
	}
	var d downloaded
	if err := json.Unmarshal(out, &d); err != nil {
		return downloaded{}, fmt.Errorf("reading what go mod download told about %s: %w", module, err)
	}
	return d, nil
}

func copies(ctx context.Context, g group, dir string) error {
	if len(g.Copies) == 0 {
		return nil
	}
	module, err := download(ctx, g.Modules[0])
	if err != nil {
		return err
	}
	for _, name := range g.Copies {
		text, err := os.ReadFile(filepath.Join(module.Dir, name))
		if err != nil {
			return fmt.Errorf("copying from %s: %w", g.Modules[0], err)
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(name)), text, 0o644); err != nil {
			return fmt.Errorf("copying from %s: %w", g.Modules[0], err)
		}
	}
	return nil
}

func parseStaging(goMod string) []string {
	var out []string
	lines := bufio.NewScanner(strings.NewReader(goMod))
	for lines.Scan() {
		if name, target, ok := strings.Cut(lines.Text(), "=>"); ok && strings.HasPrefix(strings.TrimSpace(target), "./staging/") {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), "replace ")))
		}
	}
	return out
}

package inventory

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// golden compares got with a file beside the input, or rewrites that.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func eachFile(t *testing.T, pattern string, f func(t *testing.T, path string, data []byte)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("found no %s: %v", pattern, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, path, data)
		})
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	eachFile(t, "testdata/invalid/*.yaml", func(t *testing.T, path string, data []byte) {
		inv, c, warnings, err := decode("inventory.yaml", "/site", "/home/admin", data)
		if err == nil || inv != nil || c != nil {
			t.Fatalf("decode = %v, %v, %v; want an error alone", inv, c, err)
		}
		var b strings.Builder
		for _, e := range errlist.Flatten(err) {
			checkPosition(t, data, e)
			fmt.Fprintln(&b, e)
			if hint := diag.Hint(e); hint != "" {
				fmt.Fprintf(&b, "    hint: %s\n", hint)
			}
		}
		for _, w := range warnings {
			fmt.Fprintf(&b, "warning: %s\n", w)
		}
		golden(t, strings.TrimSuffix(path, ".yaml")+".txt", b.String())
	})
}

// checkPosition wants an error of kind Invalid at a place that exists.
func checkPosition(t *testing.T, data []byte, err error) {
	t.Helper()
	var d *diag.Error
	if !errors.As(err, &d) || d.Kind != diag.Invalid {
		t.Errorf("%v is not a *diag.Error of kind Invalid", err)
		return
	}
	lines := strings.Split(string(data), "\n")
	if d.Pos.Line < 1 || d.Pos.Line > len(lines) {
		t.Errorf("%v: line %d of %d", err, d.Pos.Line, len(lines))
		return
	}
	if n := len([]rune(strings.TrimSuffix(lines[d.Pos.Line-1], "\r"))); d.Pos.Col < 1 || d.Pos.Col > n+1 {
		t.Errorf("%v: column %d of %d", err, d.Pos.Col, n)
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	eachFile(t, "testdata/valid/*.yaml", func(t *testing.T, path string, data []byte) {
		_, c, warnings, err := decode("inventory.yaml", "/site", "/home/admin", data)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, row := range append(c.Summary(), c.Table()...) {
			fmt.Fprintln(&b, strings.Join(row, " | "))
		}
		for _, w := range warnings {
			fmt.Fprintf(&b, "warning: %s\n", w)
		}
		golden(t, strings.TrimSuffix(path, ".yaml")+".txt", b.String())
	})
}

func TestErrorsAreSorted(t *testing.T) {
	t.Parallel()
	data := []byte("metadata: {name: A_}\nspec:\n  hosts: [{name: n1}]\n  unknown: 1\n")
	_, _, _, err := Decode("f", ".", data)
	last := 0
	for _, e := range errlist.Flatten(err) {
		line := diag.From(e).Pos.Line
		if line < last {
			t.Errorf("%v comes after line %d", e, last)
		}
		last = line
	}
	if last != 4 {
		t.Errorf("the last error is in line %d: %v", last, err)
	}
}

func TestAliasesCannotMultiply(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: t}\nspec:\n  defaults:\n    labels: &l {")
	for i := range 1000 {
		fmt.Fprintf(&b, "k%d: v, ", i)
	}
	b.WriteString("}\n  hosts:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "    - {name: n%d, address: a%d, labels: *l}\n", i, i)
	}
	_, _, _, err := Decode("f", ".", []byte(b.String()))
	if err == nil || !strings.Contains(err.Error(), "counting what aliases repeat") {
		t.Errorf("Decode = %v", err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "inventory.yaml")
	if _, _, err := Load(path); diag.KindOf(err) != diag.Invalid || !errors.Is(err, os.ErrNotExist) || diag.Hint(err) == "" {
		t.Errorf("Load of a missing file = %v", err)
	}
	if err := os.WriteFile(path, Starter("c", []Target{{Name: "n1", Address: "10.0.0.1"}}), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := Load(path)
	if err != nil || len(warnings) > 0 || c.Dir != dir || c.File != path {
		t.Errorf("Load = %+v, %v, %v", c, warnings, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "../../inventories/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("found no %s: %v", pattern, err)
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("spec: &a {hosts: [*a]}"))
	f.Add([]byte("\xef\xbb\xbfkind: x\r\n? \u2028"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, c, _, err := decode("f", "/site", "/home/admin", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("cluster %v and error %v", c, err)
		}
		for _, e := range errlist.Flatten(err) {
			checkPosition(t, data, e)
		}
		if c != nil {
			c.Table()
		}
	})
}

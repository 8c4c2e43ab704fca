package inventory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// Warning is something in the inventory that works, but may not be meant.
type Warning struct {
	Pos diag.Position `json:"pos"`
	Msg string        `json:"msg"`
}

// String gives file:line:col: message.
func (w Warning) String() string { return w.Pos.String() + ": " + w.Msg }

// Load reads an inventory file. The error holds everything that is wrong, each
// a *diag.Error of kind Invalid with a position, sorted by it (see
// errlist.Flatten). Warnings come with and without an error.
func Load(path string) (*Cluster, []Warning, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		e := diag.Wrap(diag.Invalid, "read inventory", err)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, e.WithHint("name the file with -i, or write one: kforge init node1=ADDRESS node2=ADDRESS")
		}
		return nil, nil, e
	}
	_, c, warnings, err := Decode(path, filepath.Dir(path), data)
	return c, warnings, err
}

// Decode reads an inventory from data. file is the name for positions, dir the
// folder that relative paths in it are relative to. It gives what the user
// wrote and what becomes of it; both are nil with an error, whose form is that
// of Load's.
func Decode(file, dir string, data []byte) (*Inventory, *Cluster, []Warning, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, nil, diag.Wrap(diag.Invalid, "read inventory", err)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // an error only for an inventory that needs it
	}
	return decode(file, dir, home, data)
}

func decode(file, dir, home string, data []byte) (*Inventory, *Cluster, []Warning, error) {
	src := newSource(file, data)
	root, syntaxErr := src.parse(data)
	if syntaxErr != nil {
		return nil, nil, nil, listed(syntaxErr)
	}
	if err := foreign(src, root); err != nil {
		return nil, nil, nil, listed(err)
	}
	w, inv := newWalker(src), &Inventory{}
	w.value(root, "", reflect.ValueOf(inv).Elem(), rules{})
	if w.values > maxValues {
		return nil, nil, nil, w.errs.Err() // what was read is not the whole
	}
	c := resolve(inv, file, dir)
	ch := &checker{w: w, inv: inv, c: c, home: home}
	ch.cluster()
	ch.hosts()
	if err := w.errs.Err(); err != nil {
		return nil, nil, ch.warnings, err
	}
	return inv, c, ch.warnings, nil
}

// listed puts a lone error into the form that many have.
func listed(err *diag.Error) error {
	var l errlist.List
	l.Add(err)
	return l.Err()
}

// foreign finds a document that is not an inventory of this version at all, so
// that its user is not told of each of its keys.
func foreign(src *source, root *yaml.Node) *diag.Error {
	if root.Kind != yaml.MappingNode {
		return src.errorf(src.of(root), "want a mapping (key: value lines), got %s", describe(root))
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i].Value, deref(root.Content[i+1])
		want := map[string]string{"apiVersion": APIVersion, "kind": Kind}[key]
		if want == "" || val.Kind != yaml.ScalarNode || val.Tag != "!!str" || val.Value == want {
			continue
		}
		err := src.errorf(src.of(root.Content[i+1]), "%s is %s, want %q", key, quote(val.Value), want)
		if key == "apiVersion" && strings.HasPrefix(val.Value, "kforge.dev/") {
			err.Hint = "this kforge reads version " + strings.TrimPrefix(APIVersion, "kforge.dev/") + " of the format"
		}
		return err
	}
	return nil
}

// expandPath makes a path of the user absolute.
func expandPath(p, dir, home string) (string, error) {
	switch {
	case strings.Contains(p, "$"):
		return "", fmt.Errorf("%s: environment variables are not expanded; write ~/ or a path relative to the inventory", quote(p))
	case strings.ContainsAny(p, "\x00\n"):
		return "", fmt.Errorf("%s is not a path", quote(p))
	case p == "~" || strings.HasPrefix(p, "~/"):
		if home == "" {
			return "", fmt.Errorf("%s: the home directory is not known (HOME is not set)", quote(p))
		}
		return filepath.Join(home, strings.TrimPrefix(p, "~")), nil
	case strings.HasPrefix(p, "~"):
		return "", fmt.Errorf("%s: only ~/ is expanded, not the home of another user", quote(p))
	case filepath.IsAbs(p):
		return filepath.Clean(p), nil
	}
	return filepath.Join(dir, p), nil
}

package inventory

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// maxValues bounds the work on a file whose aliases multiply. Five thousand
// hosts with fifteen values each are 75,000.
const maxValues = 100_000

// walker decodes a YAML tree into the inventory's types. It is strict, goes on
// after an error, and notes where every path was written, so that what is
// found wrong later has a position too. Paths look like
// spec.hosts[2].labels["a/b"].
type walker struct {
	src    *source
	errs   errlist.List
	pos    map[string]diag.Position // path to where its value stands
	keyPos map[string]diag.Position // path to where its free key stands
	bad    map[string]bool          // paths whose value could not be taken
	values int
}

func newWalker(src *source) *walker {
	return &walker{src: src, pos: map[string]diag.Position{}, keyPos: map[string]diag.Position{}, bad: map[string]bool{}}
}

// fail notes an error about the value at path.
func (w *walker) fail(n *yaml.Node, path, format string, args ...any) *diag.Error {
	w.bad[path] = true
	err := w.src.errorf(w.src.of(n), format, args...)
	w.errs.Add(err)
	return err
}

// value decodes n into v. It reports whether it went on: false means that the
// budget of values is used up.
func (w *walker) value(n *yaml.Node, path string, v reflect.Value, r rules) bool {
	if w.values++; w.values > maxValues {
		if w.values == maxValues+1 {
			w.fail(n, path, "more than %d values, counting what aliases repeat", maxValues)
		}
		return false
	}
	w.pos[path] = w.src.of(n)
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		w.fail(n, path, "the tag %s is not supported: write the plain value", n.Tag)
		return true
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		w.fail(n, path, "%s has no value: write one, or remove the line", label(path))
		return true
	}
	switch t := v.Type(); {
	case t == reflect.TypeFor[HostList]() && n.Kind == yaml.MappingNode:
		w.shortHosts(n, path, v)
	case t == reflect.TypeFor[Duration]():
		w.duration(n, path, v)
	case t.Kind() == reflect.Struct:
		w.object(n, path, v)
	case t.Kind() == reflect.Map:
		w.mapping(n, path, v)
	case t.Kind() == reflect.Slice:
		w.list(n, path, v, r)
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if w.scalar(n, path, p.Elem(), r) {
			v.Set(p)
		}
	default:
		w.scalar(n, path, v, r)
	}
	return true
}

// object decodes a mapping with known keys.
func (w *walker) object(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		w.fail(n, path, "%s: want a mapping (key: value lines), got %s", label(path), describe(n))
		return
	}
	fields := fieldsOf(v.Type())
	seen := w.keys(n, path, func(key, val *yaml.Node) bool {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			w.unknownKey(key, path, v.Type())
			return true
		}
		f := fields[i]
		return w.value(val, join(path, f.name), v.FieldByIndex(f.index), f.rules)
	})
	for _, f := range fields {
		if f.rules.required && !seen[f.name] {
			at := n
			if len(n.Content) > 0 {
				at = n.Content[0]
			}
			w.fail(at, join(path, f.name), "missing key %q%s", f.name, in(path))
		}
	}
}

func (w *walker) unknownKey(key *yaml.Node, path string, t reflect.Type) {
	if t == reflect.TypeFor[HostSettings]() && slices.Contains(fieldNames(reflect.TypeFor[Host]()), key.Value) {
		w.fail(key, join(path, key.Value), "%q can be set for a single host only, not in %s", key.Value, path)
		return
	}
	names := fieldNames(t)
	err := w.fail(key, join(path, key.Value), "unknown key %s%s", quote(key.Value), didYouMean(key.Value, names))
	slices.Sort(names)
	err.Hint = "known keys" + in(path) + ": " + strings.Join(names, ", ")
}

// mapping decodes a mapping with free keys.
func (w *walker) mapping(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		w.fail(n, path, "%s: want a mapping (key: value lines), got %s", label(path), describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	w.keys(n, path, func(key, val *yaml.Node) bool {
		elem := reflect.New(v.Type().Elem()).Elem()
		w.keyPos[index(path, key.Value)] = w.src.of(key)
		ok := w.value(val, index(path, key.Value), elem, rules{})
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
		return ok
	})
}

// shortHosts decodes hosts written as "name: address" lines.
func (w *walker) shortHosts(n *yaml.Node, path string, v reflect.Value) {
	hosts := HostList{}
	w.keys(n, path, func(key, val *yaml.Node) bool {
		at := fmt.Sprintf("%s[%d]", path, len(hosts))
		w.pos[at], w.pos[at+".name"] = w.src.of(key), w.src.of(key)
		host := Host{Name: key.Value}
		ok := true
		if target := deref(val); target.Kind == yaml.MappingNode {
			w.fail(val, at, "host %q: want an address, got a mapping", key.Value).
				WithHint("to set more than addresses, write hosts as a list: - name: %s", key.Value)
		} else {
			ok = w.value(val, at+".address", reflect.ValueOf(&host.Address).Elem(), rules{nonEmpty: true})
		}
		hosts = append(hosts, host)
		return ok
	})
	v.Set(reflect.ValueOf(hosts))
}

// list decodes a list; an empty one is not nil, so that it can override.
func (w *walker) list(n *yaml.Node, path string, v reflect.Value, r rules) {
	if n.Kind != yaml.SequenceNode {
		w.fail(n, path, "%s: want a list (- item lines), got %s", label(path), describe(n))
		return
	}
	if len(n.Content) < r.minItems {
		w.fail(n, path, "%s: want at least %d item", label(path), r.minItems)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		if !w.value(item, fmt.Sprintf("%s[%d]", path, i), v.Index(i), rules{enum: r.enum, nonEmpty: true}) {
			return
		}
	}
}

// keys calls each for the entries of a mapping, in order, until it returns
// false. Keys that are no plain texts, merge keys and duplicates are errors and
// are left out. It gives the keys it met.
func (w *walker) keys(n *yaml.Node, path string, each func(key, val *yaml.Node) bool) map[string]bool {
	seen := map[string]bool{}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			w.fail(key, join(path, "<<"), "merge keys (<<) are not supported").WithHint("put what hosts share into spec.defaults or a class")
			continue
		case key.Kind != yaml.ScalarNode || key.Tag == "!!null" || key.Style&yaml.TaggedStyle != 0:
			w.fail(key, path, "a key must be a plain text")
			continue
		case seen[key.Value]:
			w.fail(key, join(path, key.Value), "duplicate key %s: it is set in line %d already", quote(key.Value), first[key.Value])
			continue
		}
		seen[key.Value], first[key.Value] = true, w.src.of(key).Line
		if !each(key, val) {
			break
		}
	}
	return seen
}

func deref(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path, key string) string { return fmt.Sprintf("%s[%q]", path, key) }

func label(path string) string {
	if path == "" {
		return "the inventory"
	}
	return path
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

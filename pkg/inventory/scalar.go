package inventory

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Numbers are plain decimals. YAML 1.1 reads 0777 as octal, 1_000 and 0x10 as
// integers; nobody means that in an inventory.
var (
	plainInt   = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	plainFloat = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	octalLike  = regexp.MustCompile(`^[-+]?0[0-9]+$`)
)

// scalar decodes a single value into v and reports whether it could.
func (w *walker) scalar(n *yaml.Node, path string, v reflect.Value, r rules) bool {
	if n.Kind != yaml.ScalarNode {
		w.fail(n, path, "%s: want %s, got %s", label(path), wanted(v.Kind(), r), describe(n))
		return false
	}
	switch v.Kind() {
	case reflect.String:
		return w.text(n, path, v, r)
	case reflect.Bool:
		if n.Tag != "!!bool" {
			w.fail(n, path, "%s: want true or false, got %s", label(path), describe(n))
			return false
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
		return true
	default:
		return w.number(n, path, v, r)
	}
}

func (w *walker) text(n *yaml.Node, path string, v reflect.Value, r rules) bool {
	isNumber := n.Tag == "!!int" || n.Tag == "!!float"
	if n.Tag != "!!str" && !(r.number && isNumber) {
		w.fail(n, path, "%s: want a text, got %s: put it in quotes, \"%s\"", label(path), describe(n), n.Value)
		return false
	}
	if r.nonEmpty && n.Value == "" {
		w.fail(n, path, "%s is empty: write a value, or remove the line", label(path))
		return false
	}
	if len(r.enum) > 0 && !slices.Contains(r.enum, n.Value) {
		w.fail(n, path, "%s: want %s, got %s%s", label(path), orList(r.enum), quote(n.Value), didYouMean(n.Value, r.enum))
		return false
	}
	v.SetString(n.Value)
	return true
}

func (w *walker) number(n *yaml.Node, path string, v reflect.Value, r rules) bool {
	form, want := plainInt, wanted(v.Kind(), r)
	if v.Kind() == reflect.Float64 {
		form = plainFloat
	}
	f, err := strconv.ParseFloat(n.Value, 64)
	switch {
	case octalLike.MatchString(n.Value) && n.Style == 0:
		w.fail(n, path, "%s: %s looks like an octal number: write %s", label(path), n.Value, decimal(n.Value))
		return false
	case n.Tag != "!!int" && n.Tag != "!!float", !form.MatchString(n.Value), err != nil:
		w.fail(n, path, "%s: want %s, got %s", label(path), want, describe(n))
		return false
	case r.min != nil && f < *r.min, r.max != nil && f > *r.max, r.above != nil && f <= *r.above, f > 1e9, f < -1e9:
		w.fail(n, path, "%s: want %s, got %s", label(path), want, quote(n.Value))
		return false
	}
	if v.Kind() == reflect.Float64 {
		v.SetFloat(f)
	} else {
		v.SetInt(int64(f))
	}
	return true
}

// duration decodes "90s"; a deadline of nothing or less is no deadline.
func (w *walker) duration(n *yaml.Node, path string, v reflect.Value) {
	want := `a duration such as "90s" or "5m"`
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		w.fail(n, path, "%s: want %s, got %s", label(path), want, describe(n))
		return
	}
	d, err := time.ParseDuration(n.Value)
	switch {
	case err != nil:
		w.fail(n, path, "%s: want %s, got %s", label(path), want, quote(n.Value))
	case d <= 0:
		w.fail(n, path, "%s: want more than zero, got %s", label(path), quote(n.Value))
	default:
		v.SetInt(int64(d))
	}
}

// wanted says in words what a value must be.
func wanted(k reflect.Kind, r rules) string {
	noun := map[reflect.Kind]string{reflect.String: "a text", reflect.Bool: "true or false", reflect.Float64: "a number"}[k]
	if noun == "" {
		noun = "a whole number"
	}
	switch {
	case r.min != nil && r.max != nil:
		return fmt.Sprintf("%s from %g to %g", noun, *r.min, *r.max)
	case r.min != nil:
		return fmt.Sprintf("%s from %g up", noun, *r.min)
	case r.above != nil:
		return fmt.Sprintf("%s above %g", noun, *r.above)
	}
	return noun
}

// decimal is an octal-looking number without the zeros in front.
func decimal(s string) string {
	if t := strings.TrimLeft(strings.TrimLeft(s, "+-"), "0"); t != "" {
		return t
	}
	return "0"
}

// orList joins quoted words as a person does: "a", "b" or "c".
func orList(words []string) string {
	var b strings.Builder
	for i, s := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", s)
	}
	return b.String()
}

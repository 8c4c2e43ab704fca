package inventory

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// rules are what the jsonschema tag of a field asks of its value.
type rules struct {
	required bool
	number   bool // a text that may be written as a bare number
	nonEmpty bool // a text that must not be ""
	enum     []string
	min, max *float64
	above    *float64 // exclusive minimum
	minItems int
	def      string // default, for the docs
}

// field is a key that a struct takes.
type field struct {
	name  string
	index []int
	typ   reflect.Type
	rules rules
}

var fieldCache sync.Map // reflect.Type to []field

// fieldsOf lists the keys of a struct type in order, those of embedded structs
// as its own.
func fieldsOf(t reflect.Type) []field {
	if got, ok := fieldCache.Load(t); ok {
		return got.([]field)
	}
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		out = append(out, field{name: name, index: f.Index, typ: f.Type, rules: parseRules(f.Tag.Get("jsonschema"))})
	}
	fieldCache.Store(t, out)
	return out
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, f.name)
	}
	return out
}

func parseRules(tag string) rules {
	r := rules{nonEmpty: !strings.Contains(tag, "minLength=0")}
	for part := range strings.SplitSeq(tag, ",") {
		key, val, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			r.required = true
		case "oneof_type":
			r.number = strings.Contains(val, "number")
		case "enum":
			r.enum = append(r.enum, val)
		case "minimum":
			r.min = parseBound(val)
		case "maximum":
			r.max = parseBound(val)
		case "exclusiveMinimum":
			r.above = parseBound(val)
		case "minItems":
			r.minItems, _ = strconv.Atoi(val)
		case "default":
			r.def = val
		}
	}
	return r
}

func parseBound(s string) *float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &f
}

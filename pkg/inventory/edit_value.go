package inventory

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// set writes a value in place of the one that is there, inside its quotes, else as
// a first line of what there is of its parents.
func (t *hostsText) set(value string, keys ...string) bool {
	if n := at(t.root, keys...); n != nil {
		start, end := t.scalar(n)
		if start < 0 {
			return false
		}
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 {
			value = scalarText(value)
		}
		t.patch(start, end, value)
		return true
	}
	for depth := len(keys) - 1; depth > 0; depth-- {
		if n := at(t.root, keys[:depth]...); n != nil {
			return t.putFirst(n, keys[depth:], value)
		}
	}
	return false
}

// scalar gives the bytes of a scalar's text, its quotes left out; -1 when it is
// not written as it reads.
func (t *hostsText) scalar(n *yaml.Node) (start, end int) {
	start = t.offset(n)
	if start < len(t.data) && (t.data[start] == '"' || t.data[start] == '\'') {
		start++
	}
	end = start + len(n.Value)
	if n.Kind != yaml.ScalarNode || end > len(t.data) || string(t.data[start:end]) != n.Value {
		return -1, -1
	}
	return start, end
}

// putFirst writes keys, each inside the one before, and the value of the last
// before the first key of a mapping: into one in braces in one line, else as lines
// of their own.
func (t *hostsText) putFirst(n *yaml.Node, keys []string, value string) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	if flow(n) {
		text := t.scalars(n)
		out := text(value)
		for i, key := range slices.Backward(keys) {
			if out = text(key) + ": " + out; i > 0 {
				out = "{" + out + "}"
			}
		}
		if len(n.Content) > 0 {
			out += ", "
		}
		open := t.opening(n) + 1
		t.patch(open, open, out)
		return true
	}
	var lines []string
	for i, key := range keys {
		lines = append(lines, strings.Repeat("  ", i)+key+":")
	}
	lines[len(lines)-1] += " " + scalarText(value)
	if len(n.Content) == 0 {
		return false
	}
	first := t.offset(n.Content[0])
	begin := t.lines[n.Content[0].Line-1]
	indent := t.data[begin:first]
	if len(bytes.TrimLeft(indent, " ")) > 0 {
		return false
	}
	end := t.lineEnd(n.Content[0].Line)
	t.patch(first, first, strings.Join(lines, end+string(indent))+end+string(indent))
	return true
}

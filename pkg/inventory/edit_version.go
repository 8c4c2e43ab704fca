package inventory

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// setVersion writes the version of Kubernetes in place of the one that is there,
// inside its quotes, else as a first line where it belongs.
func (t *hostsText) setVersion(version string) bool {
	if n := at(t.root, "spec", "kubernetes", "version"); n != nil {
		start, end := t.scalar(n)
		if start < 0 {
			return false
		}
		t.patch(start, end, version)
		return true
	}
	if n := at(t.root, "spec", "kubernetes"); n != nil {
		return t.putFirst(n, `"version": "`+version+`"`, "version: "+version)
	}
	n := at(t.root, "spec")
	return n != nil && t.putFirst(n, `"kubernetes": {"version": "`+version+`"}`, "kubernetes:", "  version: "+version)
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

// putFirst writes a key before the first one of a mapping: inline into one in
// braces, else as lines of its own.
func (t *hostsText) putFirst(n *yaml.Node, inline string, lines ...string) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	if flow(n) {
		open := t.opening(n) + 1
		if len(n.Content) == 0 || n.Content[0].Style&yaml.DoubleQuotedStyle == 0 { // no JSON
			inline = strings.ReplaceAll(inline, `"`, "")
		}
		if len(n.Content) > 0 {
			inline += ", "
		}
		t.patch(open, open, inline)
		return true
	}
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

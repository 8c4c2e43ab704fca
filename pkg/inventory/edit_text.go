package inventory

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// hostsText is an inventory's text and where its hosts stand in it. Changes are
// noted as patches, all of the same look at the nodes.
type hostsText struct {
	data    []byte
	lines   []int // offset of each line's first byte
	root    *yaml.Node
	hosts   *yaml.Node
	patches []patch
}

// patch replaces the bytes from start to end.
type patch struct {
	start, end int
	text       string
}

func newHostsText(data []byte) *hostsText {
	root, err := newSource("", data).parse(data)
	if err != nil {
		return nil
	}
	t := &hostsText{data: data, lines: []int{0}, root: root, hosts: hostsNode(root)}
	if t.hosts == nil || t.hosts.Kind != yaml.SequenceNode && t.hosts.Kind != yaml.MappingNode {
		return nil
	}
	for i, b := range data {
		if b == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

func (t *hostsText) patch(start, end int, text string) {
	t.patches = append(t.patches, patch{start, end, text})
}

// patched gives the text with the patches applied.
func (t *hostsText) patched() []byte {
	slices.SortStableFunc(t.patches, func(a, b patch) int { return cmp.Compare(a.start, b.start) })
	var out []byte
	at := 0
	for _, p := range t.patches {
		out = append(out, t.data[at:p.start]...)
		out = append(out, p.text...)
		at = p.end
	}
	return append(out, t.data[at:]...)
}

// line gives a line without its end; lines count from 1, as those of nodes.
func (t *hostsText) line(n int) string {
	if n < 1 || n > len(t.lines) {
		return ""
	}
	end := len(t.data)
	if n < len(t.lines) {
		end = t.lines[n]
	}
	return strings.TrimRight(string(t.data[t.lines[n-1]:end]), "\r\n")
}

// count of lines; the empty one behind the last line end is none.
func (t *hostsText) count() int {
	if t.lines[len(t.lines)-1] == len(t.data) {
		return len(t.lines) - 1
	}
	return len(t.lines)
}

// after gives the offset behind a line and its end.
func (t *hostsText) after(n int) int {
	if n < len(t.lines) {
		return t.lines[n]
	}
	return len(t.data)
}

// lineEnd is that of a line, for new ones beside it.
func (t *hostsText) lineEnd(n int) string {
	if n >= len(t.lines) {
		n = max(1, len(t.lines)-1)
	}
	if bytes.HasSuffix(t.data[:t.after(n)], []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// offset of a node's first character; columns of nodes count characters.
func (t *hostsText) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(t.lines) {
		return len(t.data)
	}
	at := t.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(t.data) || t.data[at] == '\n' {
			break
		}
		_, size := utf8.DecodeRune(t.data[at:])
		at += size
	}
	return at
}

// lineOf gives the line that an offset is in.
func (t *hostsText) lineOf(offset int) int {
	n, found := slices.BinarySearch(t.lines, offset)
	if found {
		return n + 1
	}
	return n
}

// lastLine is where a node ends, as far as its nodes and brackets tell.
func (t *hostsText) lastLine(n *yaml.Node) int {
	last := n.Line
	if flow(n) {
		if f, ok := scanFlow(t.data, t.opening(n)); ok {
			last = t.lineOf(f.close)
		}
	}
	for _, c := range n.Content {
		last = max(last, t.lastLine(c))
	}
	return last
}

// opening finds the bracket of a flow collection, behind an anchor.
func (t *hostsText) opening(n *yaml.Node) int {
	at := t.offset(n)
	if i := bytes.IndexAny(t.data[at:], "[{"); n.Anchor != "" && i >= 0 {
		return at + i
	}
	return at
}

func flow(n *yaml.Node) bool {
	return n.Kind != yaml.ScalarNode && n.Kind != yaml.AliasNode && n.Style&yaml.FlowStyle != 0
}

// entries are the hosts: items of a list, or keys of a mapping.
func (t *hostsText) entries() []*yaml.Node {
	if t.hosts.Kind == yaml.SequenceNode {
		return t.hosts.Content
	}
	var keys []*yaml.Node
	for i := 0; i < len(t.hosts.Content); i += 2 {
		keys = append(keys, t.hosts.Content[i])
	}
	return keys
}

// find gives the place of a host among the entries, -1 for none.
func (t *hostsText) find(name string) int {
	return slices.IndexFunc(t.entries(), func(n *yaml.Node) bool {
		if t.hosts.Kind == yaml.MappingNode {
			return n.Value == name
		}
		v := valueOf(deref(n), "name")
		return v != nil && deref(v).Value == name
	})
}

// add writes a host behind the last one, in the form of that.
func (t *hostsText) add(h Host) bool {
	if flow(t.hosts) {
		return t.addFlow(h)
	}
	return t.addBlock(h)
}

func (t *hostsText) remove(name string) bool {
	i := t.find(name)
	if i < 0 {
		return false
	}
	if flow(t.hosts) {
		return t.removeFlow(i)
	}
	return t.removeBlock(i, name)
}

// setRoles writes the roles of a host that has none in its entry.
func (t *hostsText) setRoles(h Host) bool {
	i := t.find(h.Name)
	if i < 0 || t.hosts.Kind != yaml.SequenceNode {
		return false
	}
	entry := t.hosts.Content[i]
	roles := keyText{"roles", h.Roles}
	if flow(entry) {
		f, ok := scanFlow(t.data, t.opening(entry))
		if !ok || len(f.items) == 0 {
			return false
		}
		end := f.items[len(f.items)-1].end
		t.patch(end, end, ", "+flowKey(roles, t.scalars(entry)))
		return true
	}
	address := valueOf(entry, "address")
	if address == nil || entry.Kind != yaml.MappingNode {
		return false
	}
	line := t.lastLine(address)
	t.insertLines(line, []string{strings.Repeat(" ", entry.Content[0].Column-1) + flowKey(roles, scalarText)})
	return true
}

// insertLines puts lines behind one.
func (t *hostsText) insertLines(line int, lines []string) {
	end := t.lineEnd(line)
	text := strings.Join(lines, end) + end
	at := t.after(line)
	if at == len(t.data) && !bytes.HasSuffix(t.data, []byte("\n")) {
		text = end + strings.TrimSuffix(text, end) // the file's last line has no end and keeps none
	}
	t.patch(at, at, text)
}

// asList turns "name: address" entries into items of a list, line by line.
func (t *hostsText) asList() bool {
	if t.hosts.Kind == yaml.SequenceNode {
		return true
	}
	item := func(i int) string {
		h := Host{Name: t.hosts.Content[2*i].Value, Address: deref(t.hosts.Content[2*i+1]).Value}
		return flowEntry(hostKeys(h), t.scalars(t.hosts.Content[2*i]))
	}
	if flow(t.hosts) {
		f, ok := scanFlow(t.data, t.opening(t.hosts))
		if !ok || len(f.items) != len(t.hosts.Content)/2 {
			return false
		}
		t.patch(t.opening(t.hosts), t.opening(t.hosts)+1, "[")
		for i, span := range f.items {
			t.patch(span.start, span.end, item(i))
		}
		t.patch(f.close, f.close+1, "]")
		return true
	}
	for i := range len(t.hosts.Content) / 2 {
		key, val := t.hosts.Content[2*i], t.hosts.Content[2*i+1]
		end, ok := scalarEnd(t.data, t.offset(val))
		if !ok {
			return false
		}
		t.patch(t.offset(key), end, "- "+item(i))
	}
	return true
}

// scalars writes texts as those around them: in JSON all are in quotes.
func (t *hostsText) scalars(like *yaml.Node) func(string) string {
	if len(like.Content) > 0 {
		like = like.Content[0]
	}
	if like.Style&yaml.DoubleQuotedStyle != 0 {
		return strconv.QuoteToASCII
	}
	return scalarText
}

// flowEntry writes an entry in one line.
func flowEntry(keys []keyText, text func(string) string) string {
	var parts []string
	for _, k := range keys {
		parts = append(parts, flowKey(k, text))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func flowKey(k keyText, text func(string) string) string {
	var value string
	switch v := k.value.(type) {
	case string:
		value = text(v)
	case int:
		value = strconv.Itoa(v)
	case []string:
		var items []string
		for _, s := range v {
			items = append(items, text(s))
		}
		value = "[" + strings.Join(items, ", ") + "]"
	case map[string]string:
		var items []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, text(key)+": "+text(v[key]))
		}
		value = "{" + strings.Join(items, ", ") + "}"
	default:
		panic(fmt.Sprintf("a host's key of type %T", v)) // hostKeys makes no other
	}
	return text(k.key) + ": " + value
}

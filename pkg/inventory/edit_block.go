package inventory

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// blockEntry is where an entry of a block list or mapping stands: the line of
// its dash or key, how far that is indented, and its last line.
type blockEntry struct {
	first, last int
	indent      int
}

// block gives the entry's lines; comments above it are not among them, those
// indented below it are.
func (t *hostsText) block(i int) (b blockEntry, ok bool) {
	entries := t.entries()
	n := entries[i]
	b.first, b.last = n.Line, t.lastLine(n)
	if t.hosts.Kind == yaml.MappingNode {
		b.last = max(b.last, t.lastLine(t.hosts.Content[2*i+1]))
		b.indent = n.Column - 1
		if indentOf(t.line(b.first)) != b.indent {
			return b, false
		}
	} else {
		for b.first > 0 && !strings.HasPrefix(strings.TrimLeft(t.line(b.first), " "), "-") {
			b.first-- // "-" may stand on a line of its own
		}
		b.indent = indentOf(t.line(b.first))
		if b.first == 0 || b.indent >= n.Column-1 {
			return b, false
		}
	}
	limit := t.count()
	if i+1 < len(entries) {
		limit = entries[i+1].Line - 1
	}
	for l := b.last + 1; l <= limit; l++ {
		text := strings.TrimSpace(t.line(l))
		if text == "" {
			continue
		}
		if indentOf(t.line(l)) <= b.indent {
			break
		}
		b.last = l // more of a long text, or a comment that belongs to it
	}
	return b, true
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

func (t *hostsText) addBlock(h Host) bool {
	entries := t.entries()
	last := len(entries) - 1
	if last < 0 {
		return false
	}
	b, ok := t.block(last)
	if !ok {
		return false
	}
	margin := strings.Repeat(" ", b.indent)
	var lines []string
	if t.apart(last) {
		lines = append(lines, "")
	}
	keys := hostKeys(h)
	switch {
	case t.hosts.Kind == yaml.MappingNode:
		lines = append(lines, margin+scalarText(h.Name)+": "+scalarText(h.Address))
	case flow(entries[last]):
		lines = append(lines, margin+"-"+t.gap(b)+flowEntry(keys, t.scalars(entries[last])))
	default:
		gap := t.gap(b)
		for i, k := range keys {
			lead := "-" + gap
			if i > 0 {
				lead = strings.Repeat(" ", len(lead))
			}
			lines = append(lines, margin+lead+flowKey(k, scalarText))
		}
	}
	t.insertLines(b.last, lines)
	return true
}

// gap is what stands between the dash and the entry.
func (t *hostsText) gap(b blockEntry) string {
	rest := t.line(b.first)[b.indent+1:]
	gap := rest[:len(rest)-len(strings.TrimLeft(rest, " "))]
	if gap == "" || gap == rest {
		return " "
	}
	return gap
}

// apart tells whether an empty line stands between the entry, with its comment,
// and the one before.
func (t *hostsText) apart(i int) bool {
	if i == 0 {
		return false
	}
	b, ok := t.block(i)
	before, ok2 := t.block(i - 1)
	if !ok || !ok2 {
		return false
	}
	l := b.first - 1
	for l > before.last && strings.HasPrefix(strings.TrimSpace(t.line(l)), "#") {
		l--
	}
	return l > before.last && strings.TrimSpace(t.line(l)) == ""
}

// removeBlock takes the lines of an entry away. A comment above it goes too when
// it tells of the host by name; any other may tell of the hosts that follow.
func (t *hostsText) removeBlock(i int, name string) bool {
	b, ok := t.block(i)
	if !ok {
		return false
	}
	from := b.first
	for l := b.first - 1; l > 0 && strings.HasPrefix(strings.TrimSpace(t.line(l)), "#"); l-- {
		if mentions(t.line(l), name) {
			from = l
		}
	}
	if t.apart(i) && from > 1 && strings.TrimSpace(t.line(from-1)) == "" {
		from-- // the empty line that kept it apart
	}
	start, end := t.lines[from-1], t.after(b.last)
	if end == len(t.data) && t.data[end-1] != '\n' { // the file's last line has no end and keeps none
		start = len(bytes.TrimRight(t.data[:start], "\r\n"))
	}
	t.patch(start, end, "")
	return true
}

// mentions finds a name as a word of its own.
func mentions(text, name string) bool {
	inWord := func(b byte) bool {
		return b == '-' || b == '.' || b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
	}
	for at := 0; ; {
		i := strings.Index(text[at:], name)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(name)
		if (start == 0 || !inWord(text[start-1])) && (end == len(text) || !inWord(text[end]) || text[end] == '.' && end+1 == len(text)) {
			return true
		}
		at = start + 1
	}
}

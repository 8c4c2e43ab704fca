package inventory

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// span is a stretch of bytes.
type span struct{ start, end int }

// flowText is a collection in brackets: its entries without what stands
// between them, and the comma behind the last one, -1 for none.
type flowText struct {
	items        []span
	close, comma int
}

// scanFlow reads from an opening bracket to the one that closes it. The text is
// known to be good YAML; only where its entries end is not known from the nodes.
func scanFlow(data []byte, open int) (f flowText, ok bool) {
	if open >= len(data) || data[open] != '[' && data[open] != '{' {
		return f, false
	}
	f.comma = -1
	depth, start, end := 0, -1, -1
	fresh := true // a quote here begins a text
	take := func(from, to int) {
		if start < 0 {
			start = from
		}
		end = to
	}
	for i := open + 1; i < len(data); i++ {
		c := data[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			continue
		case c == '#' && bytes.IndexByte([]byte(" \t\r\n"), data[i-1]) >= 0:
			n := bytes.IndexByte(data[i:], '\n')
			if n < 0 {
				return f, false
			}
			i += n
			continue
		case fresh && (c == '"' || c == '\''):
			n, closed := quoted(data, i)
			if !closed {
				return f, false
			}
			take(i, n)
			i, fresh = n-1, false
			continue
		case c == '[' || c == '{':
			depth++
			take(i, i+1)
			fresh = true
			continue
		case c == ']' || c == '}':
			if depth == 0 {
				if start >= 0 {
					f.items = append(f.items, span{start, end})
					f.comma = -1
				}
				f.close = i
				return f, true
			}
			depth--
		case c == ',' && depth == 0:
			f.items = append(f.items, span{start, end})
			f.comma, start, fresh = i, -1, true
			if end < 0 {
				return f, false
			}
			continue
		}
		take(i, i+1)
		fresh = c == ',' || c == ':'
	}
	return f, false
}

// quoted gives the offset behind a text in quotes.
func quoted(data []byte, at int) (end int, ok bool) {
	q := data[at]
	for i := at + 1; i < len(data); i++ {
		switch {
		case q == '"' && data[i] == '\\':
			i++
		case data[i] != q:
		case q == '\'' && i+1 < len(data) && data[i+1] == q:
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// scalarEnd gives the offset behind a scalar of one line in a block mapping.
func scalarEnd(data []byte, at int) (end int, ok bool) {
	if at >= len(data) {
		return 0, false
	}
	if data[at] == '"' || data[at] == '\'' {
		return quoted(data, at)
	}
	line := data[at:]
	if i := bytes.IndexAny(line, "\r\n"); i >= 0 {
		line = line[:i]
	}
	if i := bytes.Index(line, []byte(" #")); i >= 0 {
		line = line[:i]
	}
	return at + len(bytes.TrimRight(line, " \t")), true
}

func (t *hostsText) addFlow(h Host) bool {
	f, ok := scanFlow(t.data, t.opening(t.hosts))
	if !ok || len(f.items) == 0 {
		return false
	}
	entries := t.entries()
	text := t.scalars(entries[len(entries)-1])
	entry := flowEntry(hostKeys(h), text)
	if t.hosts.Kind == yaml.MappingNode {
		entry = text(h.Name) + ": " + text(h.Address)
	}
	last := f.items[len(f.items)-1]
	at, comma := last.end, ", "
	if f.comma >= 0 {
		at, comma = f.comma+1, " "
		entry += ","
	}
	line := t.lineOf(at - 1)
	if line == t.lineOf(f.close) {
		t.patch(at, at, comma+entry)
		return true
	}
	// The closing bracket stands on a line of its own, and so does the new host.
	t.patch(at, at, strings.TrimSpace(comma))
	start := t.lineOf(last.start)
	margin := t.line(start)
	t.insertLines(line, []string{margin[:indentOf(margin)] + entry})
	return true
}

func (t *hostsText) removeFlow(i int) bool {
	f, ok := scanFlow(t.data, t.opening(t.hosts))
	if !ok || i >= len(f.items) {
		return false
	}
	item := f.items[i]
	end := item.end // behind its comma
	if i+1 < len(f.items) || f.comma >= 0 {
		end += 1 + bytes.IndexByte(t.data[end:], ',')
	}
	first, last := t.lineOf(item.start), t.lineOf(item.end-1)
	before := strings.TrimSpace(string(t.data[t.lines[first-1]:item.start]))
	behind := strings.TrimSpace(string(t.data[end:t.after(last)]))
	switch {
	case before == "" && (behind == "" || strings.HasPrefix(behind, "#")): // alone on its lines
		if i == len(f.items)-1 && f.comma < 0 && i > 0 {
			t.patch(f.items[i-1].end, f.items[i-1].end+1+bytes.IndexByte(t.data[f.items[i-1].end:], ','), "")
		}
		t.patch(t.lines[first-1], t.after(last), "")
	case i+1 < len(f.items):
		for end < len(t.data) && t.data[end] == ' ' {
			end++
		}
		t.patch(item.start, end, "")
	case i > 0:
		t.patch(f.items[i-1].end, item.end, "")
	default:
		return false // an inventory has a host
	}
	return true
}

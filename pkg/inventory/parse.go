package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/diag"
)

// maxBytes of an inventory: a thousand hosts with all keys set need half of it.
const maxBytes = 4 << 20

// source is the text of one inventory file. It turns places that the YAML
// library names into positions that exist in the file.
type source struct {
	file  string
	lines []int // length of each line in characters
}

func newSource(file string, data []byte) *source {
	s := &source{file: file}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		s.lines = append(s.lines, utf8.RuneCount(bytes.TrimSuffix(line, []byte("\r"))))
	}
	return s
}

// at gives a position inside the file: the library counts some rare line
// breaks that editors do not, and points past the end for missing values.
func (s *source) at(line, col int) diag.Position {
	line = min(max(line, 1), len(s.lines))
	return diag.Position{File: s.file, Line: line, Col: min(max(col, 1), s.lines[line-1]+1)}
}

func (s *source) of(n *yaml.Node) diag.Position { return s.at(n.Line, n.Column) }

func (s *source) errorf(p diag.Position, format string, args ...any) *diag.Error {
	return diag.New(diag.Invalid, "", format, args...).At(p)
}

// parse reads the one document of data. The node is its root value.
func (s *source) parse(data []byte) (root *yaml.Node, err *diag.Error) {
	// The library is given untrusted text; a defect of its own must look like
	// what it is for the user: a file that cannot be read.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, s.errorf(s.at(1, 1), "the file cannot be read as YAML")
		}
	}()
	if len(data) > maxBytes {
		return nil, s.errorf(s.at(1, 1), "the file has %d bytes: an inventory has at most %d", len(data), maxBytes)
	}
	if i := invalidUTF8(data); i >= 0 {
		line := 1 + bytes.Count(data[:i], []byte("\n"))
		col := 1 + utf8.RuneCount(data[bytes.LastIndexByte(data[:i], '\n')+1:i])
		return nil, s.errorf(s.at(line, col), "the file is not UTF-8 text")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch e := dec.Decode(&doc); {
	case errors.Is(e, io.EOF):
		return nil, s.empty()
	case e != nil:
		return nil, s.syntax(data, e)
	}
	var second yaml.Node
	switch e := dec.Decode(&second); {
	case errors.Is(e, io.EOF):
	case e != nil:
		return nil, s.syntax(data, e)
	default:
		return nil, s.errorf(s.of(&second), "a second document starts here: an inventory is one document")
	}
	if len(doc.Content) != 1 {
		return nil, s.empty()
	}
	root = doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, s.empty()
	}
	return root, nil
}

func (s *source) empty() *diag.Error {
	return s.errorf(s.at(1, 1), "the inventory is empty").WithHint("write one with: kforge init node1=ADDRESS node2=ADDRESS")
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// syntax turns an error of the YAML library into one with a position: the
// first character of the line that makes the text bad.
func (s *source) syntax(data []byte, e error) *diag.Error {
	m := yamlLine.FindStringSubmatch(e.Error())
	line, _ := strconv.Atoi(m[1])
	if good, ok := goodLines(data); ok {
		line = good + 1
	}
	line = s.at(line, 1).Line
	text := bytes.Split(data, []byte("\n"))[line-1]
	indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	if tab := bytes.IndexByte(indent, '\t'); tab >= 0 {
		return s.errorf(s.at(line, tab+1), "bad YAML: a tab indents this line").WithHint("indent with spaces")
	}
	return s.errorf(s.at(line, len(indent)+1), "bad YAML: %s", strings.TrimPrefix(e.Error(), m[0]))
}

// goodLines counts the lines at the start of a bad text that are good without
// the rest; the line after them has the fault, or opens the bracket or quote
// that is never closed. The line that the library names is that of the
// enclosing mapping, often far above. Not ok means that looking costs too much.
func goodLines(data []byte) (n int, ok bool) {
	budget := 16 << 20 // bytes to parse, half a second
	for n = bytes.Count(data, []byte("\n")); n > 0 && len(data) > 0; n-- {
		data = data[:max(0, bytes.LastIndexByte(data[:len(data)-1], '\n')+1)]
		if budget -= len(data); budget < 0 {
			return 0, false
		}
		if wellFormed(data) {
			return bytes.Count(data, []byte("\n")), true
		}
	}
	return 0, true
}

func wellFormed(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// invalidUTF8 gives the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// describe names what a node is, in the words of a person.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the truth value " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	}
	return "the text " + quote(n.Value)
}

// quote shows a value of the user, cut to what fits a message.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return fmt.Sprintf("%q", s)
}

package resource

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of what is worth showing to a person.
const (
	maxDiffBytes = 256 << 10
	maxDiffLines = 3000
	diffContext  = 3
)

// unified gives a unified diff of two texts with three lines of context. It is
// "" when they are equal, or when one of them is not text or too long to read.
func unified(path string, from, to []byte) string {
	if bytes.Equal(from, to) || !isText(from) || !isText(to) {
		return ""
	}
	a, b := splitLines(from), splitLines(to)
	if len(a) > maxDiffLines || len(b) > maxDiffLines {
		return ""
	}
	ops := compare(a, b)
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", path, path)
	for start := 0; start < len(ops); {
		// A hunk runs from the first change to the last one that has less than
		// two contexts of equal lines before it.
		for start < len(ops) && ops[start].sign == ' ' {
			start++
		}
		if start == len(ops) {
			break
		}
		end, same := start, 0
		for i := start; i < len(ops) && same <= 2*diffContext; i++ {
			if ops[i].sign == ' ' {
				same++
				continue
			}
			end, same = i+1, 0
		}
		writeHunk(&out, ops[max(0, start-diffContext):min(len(ops), end+diffContext)])
		start = end
	}
	return out.String()
}

type op struct {
	sign byte // ' ', '-' or '+'
	text string
	a, b int // lines of either side before this one
}

func writeHunk(out *strings.Builder, ops []op) {
	var na, nb int
	for _, o := range ops {
		if o.sign != '+' {
			na++
		}
		if o.sign != '-' {
			nb++
		}
	}
	fmt.Fprintf(out, "@@ -%s +%s @@\n", span(ops[0].a, na), span(ops[0].b, nb))
	for _, o := range ops {
		out.WriteByte(o.sign)
		out.WriteString(strings.TrimSuffix(o.text, "\n"))
		out.WriteByte('\n')
		if !strings.HasSuffix(o.text, "\n") {
			out.WriteString("\\ No newline at end of file\n")
		}
	}
}

func span(before, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", before)
	case 1:
		return fmt.Sprint(before + 1)
	}
	return fmt.Sprintf("%d,%d", before+1, n)
}

// compare is the longest common subsequence by dynamic programming, on what
// lies between the common start and the common end.
func compare(a, b []string) []op {
	pre := 0
	for pre < len(a) && pre < len(b) && a[pre] == b[pre] {
		pre++
	}
	post := 0
	for post < len(a)-pre && post < len(b)-pre && a[len(a)-1-post] == b[len(b)-1-post] {
		post++
	}
	ma, mb := a[pre:len(a)-post], b[pre:len(b)-post]
	// length[i][j] of the best common subsequence of ma[i:] and mb[j:].
	w := len(mb) + 1
	length := make([]int32, (len(ma)+1)*w)
	for i := len(ma) - 1; i >= 0; i-- {
		for j := len(mb) - 1; j >= 0; j-- {
			if ma[i] == mb[j] {
				length[i*w+j] = length[(i+1)*w+j+1] + 1
			} else {
				length[i*w+j] = max(length[(i+1)*w+j], length[i*w+j+1])
			}
		}
	}
	var ops []op
	i, j := 0, 0
	add := func(sign byte, text string) {
		ops = append(ops, op{sign, text, i, j})
		if sign != '+' {
			i++
		}
		if sign != '-' {
			j++
		}
	}
	for _, l := range a[:pre] {
		add(' ', l)
	}
	for i-pre < len(ma) || j-pre < len(mb) {
		x, y := i-pre, j-pre
		switch {
		case x < len(ma) && y < len(mb) && ma[x] == mb[y]:
			add(' ', ma[x])
		case y == len(mb) || x < len(ma) && length[(x+1)*w+y] >= length[x*w+y+1]:
			add('-', ma[x])
		default:
			add('+', mb[y])
		}
	}
	for _, l := range a[len(a)-post:] {
		add(' ', l)
	}
	return ops
}

// splitLines keeps the line ends, so that a missing last one shows.
func splitLines(b []byte) []string {
	l := strings.SplitAfter(string(b), "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

func isText(b []byte) bool {
	return len(b) <= maxDiffBytes && utf8.Valid(b) && !bytes.ContainsRune(b, 0)
}

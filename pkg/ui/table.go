package ui

import (
	"io"
	"strings"
)

// Table writes rows in aligned columns under a header, which may be nil. Cells
// are made harmless; a line is cut at the width of the options, never wrapped.
func Table(w io.Writer, header []string, rows [][]string, o Options) error {
	st := style{o}
	var b strings.Builder
	st.table(&b, header, rows, nil)
	_, err := io.WriteString(w, b.String())
	return err
}

// table draws rows; tint, when not nil, gives the colour of a cell.
func (st style) table(b *strings.Builder, header []string, rows [][]string, tint func(row, col int) color) {
	var widths []int
	for _, row := range append([][]string{header}, rows...) {
		for c, cell := range row {
			if c == len(widths) {
				widths = append(widths, 0)
			}
			widths[c] = max(widths[c], width(clean(cell)))
		}
	}
	line := func(row []string, c func(col int) color) {
		room := st.Width
		if room <= 0 {
			room = 1 << 20
		}
		for len(row) > 0 && row[len(row)-1] == "" {
			row = row[:len(row)-1]
		}
		for i, cell := range row {
			text := clean(cell)
			if i < len(row)-1 {
				text = pad(text, widths[i]+2)
			}
			if room <= 0 {
				break
			}
			text = st.cut(text, room)
			room -= width(text)
			b.WriteString(st.paint(c(i), text))
		}
		b.WriteByte('\n')
	}
	if header != nil {
		line(header, func(int) color { return dim })
	}
	for r, row := range rows {
		line(row, func(col int) color {
			if tint == nil {
				return none
			}
			return tint(r, col)
		})
	}
}

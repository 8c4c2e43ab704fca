package report

import (
	"fmt"
	"math"
	"strings"
)

// picture is a drawing in units of the page's pixels at full size.
type picture struct {
	W, H   int
	Label  string // for those who cannot see it
	Shapes []shape
}

// shape is a rectangle, a path or a line of text; Is says which.
type shape struct {
	Is         string // rect, path, text
	Class      string
	X, Y, W, H float64
	R          float64 // of corners
	D          string  // of a path
	Text       string
	Tip        string
}

const width = 372

func (p *picture) rect(class string, x, y, w, h, r float64, tip string) {
	p.Shapes = append(p.Shapes, shape{Is: "rect", Class: class, X: round2(x), Y: round2(y), W: round2(w), H: round2(h), R: r, Tip: tip})
}

func (p *picture) text(class string, x, y float64, s string) {
	if s != "" {
		p.Shapes = append(p.Shapes, shape{Is: "text", Class: class, X: round2(x), Y: round2(y), Text: s})
	}
}

// cells draws many equal squares as one path.
func (p *picture) cells(class string, from, to, cols int, x, y, size, gap float64, tip string) {
	var d strings.Builder
	for i := from; i < to; i++ {
		cx, cy := x+float64(i%cols)*(size+gap), y+float64(i/cols)*(size+gap)
		fmt.Fprintf(&d, "M%g %gh%gv%gh-%gz", round2(cx), round2(cy), round2(size), round2(size), round2(size))
	}
	if d.Len() > 0 {
		p.Shapes = append(p.Shapes, shape{Is: "path", Class: class, D: d.String(), Tip: tip})
	}
}

// Most that is drawn of a kind; the caption tells the true number.
const (
	maxSockets = 8
	maxCores   = 64 // a socket
	maxParts   = 60 // disks, GPUs, ports
)

// draw makes the picture of a machine; unit is the bytes of a memory cell, the
// same for the whole fleet, so that hosts can be compared.
func draw(m machine, unit uint64) picture {
	p := picture{W: width, Label: m.caption()}
	y := 0.0
	caption := func(s string) {
		p.text("cap", 0, y+10, short(s, 62))
		y += 16
	}
	if m.Threads > 0 {
		caption(m.cpuCaption())
		y = p.sockets(m, y) + 10
	}
	if m.Memory > 0 {
		caption(binary(m.Memory) + " memory, " + binary(m.Available) + " available")
		y = p.memory(m, unit, y) + 10
	}
	if len(m.GPUs) > 0 {
		caption(m.gpuCaption())
		y = p.gpus(m, y) + 10
	}
	if len(m.Disks) > 0 {
		caption(m.diskCaption())
		y = p.disks(m, y) + 10
	}
	if len(m.NICs) > 0 {
		caption(m.nicCaption())
		y = p.ports(m, y) + 10
	}
	p.H = int(math.Ceil(max(y-8, 1)))
	return p
}

// sockets draws each CPU as a chip with a square for each core.
func (p *picture) sockets(m machine, y float64) float64 {
	n := min(m.Sockets, maxSockets)
	cores := max(first2(m.Cores, m.Threads)/max(m.Sockets, 1), 1)
	shown := min(cores, maxCores)
	cols := int(math.Ceil(math.Sqrt(float64(shown))))
	const side, pad, gap = 38.0, 4.0, 8.3
	size := (side-2*pad+1)/float64(cols) - 1
	for i := range n {
		x := float64(i) * (side + gap)
		p.rect("chip", x, y, side, side, 4, fmt.Sprintf("socket %d: %s", i, first(m.CPU, "CPU")))
		rows := math.Ceil(float64(shown) / float64(cols))
		off := (side - 2*pad + 1 - rows*(size+1)) / 2
		p.cells("core", 0, shown, cols, x+pad, y+pad+off, size, 1, "")
	}
	return y + side
}

// memory draws a cell for each unit, in use first.
func (p *picture) memory(m machine, unit uint64, y float64) float64 {
	const size, gap = 9.0, 2.6
	perRow := int(math.Floor(width / (size + gap)))
	total := max(int(math.Round(float64(m.Memory)/float64(unit))), 1)
	used := 0
	if m.Available < m.Memory {
		used = int(math.Round(float64(m.Memory-m.Available) / float64(unit)))
	}
	p.cells("mem used", 0, used, perRow, 0, y, size, gap, "in use")
	p.cells("mem", used, total, perRow, 0, y, size, gap, "available")
	rows := (total + perRow - 1) / perRow
	return y + float64(rows)*(size+gap) - gap
}

// gpus draws cards; a bar below them is the NVLink switches.
func (p *picture) gpus(m machine, y float64) float64 {
	const w, h, gap = 41.0, 24.0, 6.28
	for i, g := range m.GPUs[:min(len(m.GPUs), maxParts)] {
		x, top := float64(i%8)*(w+gap), y+float64(i/8)*(h+gap)
		p.rect("gpu", x, top, w, h, 3, g.Tip)
		p.text("on mid", x+w/2, top+15.5, g.Model)
	}
	rows := (min(len(m.GPUs), maxParts) + 7) / 8
	y += float64(rows)*(h+gap) - gap
	if m.Switches > 0 {
		n := min(len(m.GPUs), 8)
		p.rect("link", 0, y+3, float64(n)*(w+gap)-gap, 4, 2, count(m.Switches, "NVLink switch")+"es")
		y += 7
	}
	return y
}

// disks draws bays as they are seen from the front of a machine: spinning disks
// are tall, solid-state ones flat. A hollow one is blank.
func (p *picture) disks(m machine, y float64) float64 {
	const w, gap = 26.5, 4.9
	height := map[string]float64{"hdd": 30, "ssd": 20, "nvme": 20}
	col, tallest := 0, 0.0
	last := ""
	for _, d := range m.Disks[:min(len(m.Disks), maxParts)] {
		if col == 12 || (last != "" && height[last] != height[d.Kind]) {
			y, col, tallest = y+tallest+gap, 0, 0
		}
		last = d.Kind
		x, h := float64(col)*(w+gap), height[d.Kind]
		class := "disk " + d.Kind
		if !d.Used {
			class += " blank"
		}
		p.rect(class, x, y, w, h, 3, d.Tip)
		label := "on mid"
		if !d.Used {
			label = "off mid"
		}
		p.text(label, x+w/2, y+h/2+3.2, tight(d.Size))
		if d.Kind == "hdd" && d.Used {
			p.rect("led", x+w-6.5, y+3, 3, 3, 1.5, "")
		}
		col, tallest = col+1, max(tallest, h)
	}
	return y + tallest
}

// ports draws network cards; a filled one is up.
func (p *picture) ports(m machine, y float64) float64 {
	const w, h, gap = 41.0, 19.0, 6.28
	for i, n := range m.NICs[:min(len(m.NICs), maxParts)] {
		x, top := float64(i%8)*(w+gap), y+float64(i/8)*(h+15)
		class, label := "port", "off mid"
		if n.Up {
			class, label = "port up", "on mid"
		}
		p.rect(class, x, top, w, h, 3, n.Tip)
		p.text(label, x+w/2, top+13, first(n.Speed, state(n.Up)))
		name := "name mid"
		if n.Default {
			name = "name mid main"
		}
		p.text(name, x+w/2, top+h+9, short(n.Name, 9))
	}
	rows := (min(len(m.NICs), maxParts) + 7) / 8
	return y + float64(rows)*(h+15) - 4
}

func first2(a, b int) int {
	if a > 0 {
		return a
	}
	return b
}

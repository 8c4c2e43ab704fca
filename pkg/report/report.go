// Package report draws one page of HTML about a cluster: its machines as
// pictures, the findings of the checks, and where the time of a run went. The
// page is whole in itself: it asks for nothing from elsewhere, and the same
// input gives the same bytes. It never reaches a host and reads no file.
package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/preflight"
)

// Input is what a page is drawn from.
type Input struct {
	Cluster string
	Version string    // of kforge
	Made    time.Time // zero: not told
	Hosts   []Host    // in the inventory's order
	// Findings of the checks, or what a record tells of them.
	Findings []preflight.Finding
	// Run is the record of a run, none when there is none. Who started it is
	// in its first event.
	Run []event.Event
	// Offline tells that no host was asked.
	Offline bool
}

// Host is a machine of the inventory.
type Host struct {
	Name    string
	Address string
	Class   string
	Roles   []string
	// Facts are nil when the host was not reached; Error says why, and Hint
	// what to do.
	Facts       *facts.Host
	Error, Hint string
}

//go:embed page.html style.css
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"count": count, "seconds": seconds, "style": style,
}).ParseFS(files, "page.html"))

// style is ours whole, hence no text that could end it.
func style() (template.CSS, error) {
	text, err := files.ReadFile("style.css")
	return template.CSS(text), err //nolint:gosec // embedded at build time
}

// view is what the template sees.
type view struct {
	Input
	Title    string
	Tiles    []tile
	Cards    []card
	Unit     string // of a memory cell: "8 GiB"
	Findings []severity
	Timeline *timeline
}

// tile is a figure at the head of the page.
type tile struct{ Value, Label, Tone string }

// Write draws the page. Its errors are those of w.
func Write(w io.Writer, in Input) error {
	v := view{Input: in, Title: in.Cluster, Findings: group(in.Findings), Timeline: newTimeline(in.Run)}
	if v.Title == "" {
		v.Title = "cluster"
	}
	v.Cards, v.Unit = cards(in)
	v.Tiles = tiles(in, v)
	if err := page.Execute(w, v); err != nil {
		return fmt.Errorf("drawing the report: %w", err)
	}
	return nil
}

// tiles sums the fleet up. What no host told is left out.
func tiles(in Input, v view) []tile {
	var m struct {
		cores, threads, gpus, disks, told int
		memory, raw                       uint64
	}
	for _, h := range in.Hosts {
		if h.Facts == nil {
			continue
		}
		one := read(h.Facts)
		m.told++
		m.cores += one.Cores
		m.threads += one.Threads
		m.memory += one.Memory
		m.gpus += len(one.GPUs)
		for _, d := range one.Disks {
			m.disks++
			m.raw += d.Size
		}
	}
	out := []tile{{Value: fmt.Sprint(len(in.Hosts)), Label: noun(len(in.Hosts), "host")}}
	add := func(ok bool, value, label, tone string) {
		if ok {
			out = append(out, tile{value, label, tone})
		}
	}
	if lost := len(in.Hosts) - m.told; lost > 0 && !in.Offline {
		add(true, fmt.Sprint(lost), "not reached", "bad")
	}
	if m.cores > 0 {
		add(true, grouped(m.cores), "CPU cores", "")
	} else {
		add(m.threads > 0, grouped(m.threads), "CPU threads", "")
	}
	add(m.memory > 0, binary(m.memory), "memory", "")
	add(m.gpus > 0, grouped(m.gpus), noun(m.gpus, "GPU"), "")
	add(m.disks > 0, decimal(m.raw), "on "+count(m.disks, "disk"), "")
	for _, s := range v.Findings {
		add(true, fmt.Sprint(s.Total), noun(s.Total, s.Word), s.Tone)
	}
	if t := v.Timeline; t != nil {
		add(true, seconds(t.Seconds), "last "+t.Command+": "+t.Result, t.Tone)
	}
	return out
}

package report

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/preflight"
)

// card is the picture of a host, or of several that are alike.
type card struct {
	Names    []string
	Title    string
	Roles    []string
	Class    string
	Model    string // of the machine: Dell PowerEdge R740
	System   string // Debian 12, Linux 6.1
	Picture  *picture
	Error    string
	Hint     string
	Problems []tile // findings by severity
}

// apart is up to how many hosts each has a card of its own; in bigger fleets
// machines that are alike share one.
const apart = 32

// cards gives the cards in the inventory's order and the unit of their memory.
func cards(in Input) (out []card, unitText string) {
	unit := memoryUnit(in.Hosts)
	alike := map[string]int{}
	for _, h := range in.Hosts {
		c := card{Names: []string{h.Name}, Roles: h.Roles, Class: h.Class, Error: h.Error, Hint: h.Hint, Problems: problems(in.Findings, h.Name)}
		key := "" // alone
		if f := h.Facts; f != nil {
			m := read(f)
			c.Model = strings.TrimSpace(f.Machine.Vendor + " " + f.Machine.Product)
			if c.Model == "" && f.Virtual != "" {
				c.Model = "virtual: " + f.Virtual
			}
			c.System = f.OS.Name + " · Linux " + f.Kernel.Release
			if f.Kernel.Arch != "amd64" {
				c.System += " · " + f.Kernel.Arch
			}
			p := draw(m, unit)
			c.Picture = &p
			key = strings.Join([]string{c.Model, c.System, strings.Join(h.Roles, ","), h.Class, fmt.Sprint(c.Problems), m.caption()}, "\x00")
		} else if h.Error == "" {
			key = strings.Join(h.Roles, ",") + "\x00" + h.Class + fmt.Sprint(c.Problems)
		}
		if at, ok := alike[key]; ok && key != "" && len(in.Hosts) > apart {
			out[at].Names = append(out[at].Names, h.Name)
			continue
		}
		if key != "" {
			alike[key] = len(out)
		}
		out = append(out, c)
	}
	for i := range out {
		out[i].Title = out[i].Names[0]
		if n := len(out[i].Names); n > 1 {
			out[i].Title = fmt.Sprintf("%s … %s", out[i].Names[0], out[i].Names[n-1])
		}
	}
	if unit > 1 {
		unitText = binary(unit)
	}
	return out, unitText
}

// memoryUnit is a power of two such that the biggest host has at most 96 cells.
func memoryUnit(hosts []Host) uint64 {
	var most uint64
	for _, h := range hosts {
		if h.Facts != nil {
			most = max(most, h.Facts.Memory.Total)
		}
	}
	return 1 << bits.Len64(most/96)
}

func problems(all []preflight.Finding, host string) (out []tile) {
	n := map[preflight.Severity]int{}
	for _, f := range all {
		if f.Host == host {
			n[f.Severity]++
		}
	}
	for _, s := range severities {
		if n[s.of] > 0 {
			out = append(out, tile{Value: count(n[s.of], s.word), Tone: s.tone})
		}
	}
	return out
}

// severities in the order they are told.
var severities = []struct {
	of               preflight.Severity
	word, tone, text string
}{
	{preflight.Error, "error", "bad", "Errors: apply leaves these hosts out"},
	{preflight.Warning, "warning", "warn", "Warnings: told, and done anyway"},
}

// severity is the findings of one weight.
type severity struct {
	Word, Tone, Text string
	Total            int // findings, before those alike were put together
	Rows             []row
}

// row is a finding and the hosts that have it.
type row struct {
	Rule, Message, Hint string
	Hosts               []string
}

// group puts findings together that say the same of several hosts.
func group(all []preflight.Finding) (out []severity) {
	for _, s := range severities {
		g := severity{Word: s.word, Tone: s.tone, Text: s.text}
		at := map[[3]string]int{}
		for _, f := range all {
			if f.Severity != s.of {
				continue
			}
			g.Total++
			key := [3]string{f.Rule, f.Message, f.Hint}
			i, ok := at[key]
			if !ok {
				i = len(g.Rows)
				at[key] = i
				g.Rows = append(g.Rows, row{Rule: f.Rule, Message: f.Message, Hint: f.Hint})
			}
			if f.Host != "" && !slices.Contains(g.Rows[i].Hosts, f.Host) {
				g.Rows[i].Hosts = append(g.Rows[i].Hosts, f.Host)
			}
		}
		if g.Total > 0 {
			out = append(out, g)
		}
	}
	return out
}

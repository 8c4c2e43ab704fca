package ui

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"kforge.dev/kforge/pkg/spec"
)

// PlanItem is one change that a plan makes.
type PlanItem struct {
	Host   string // "" is the cluster
	Step   string // id
	Title  string // of the step
	Change spec.Change
}

// PlanView is a plan to be shown, in the order in which it would be applied.
type PlanView struct {
	Items []PlanItem
	Hosts int // in the inventory, with or without changes
	// Inventory is what the admin's own file gets or loses; nil for nothing.
	Inventory *FileEdit
	// Upgrade is the way that the plan is the first part of; nil for none.
	Upgrade *Upgrade
}

// FileEdit is lines that a file gets ("+ ...") or loses ("- ...").
type FileEdit struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"`
}

// Upgrade is a way from one version of Kubernetes to another.
type Upgrade struct {
	From           string   `json:"from"`
	Path           []string `json:"path"` // versions to go through, in order
	MaxUnavailable int      `json:"maxUnavailable"`
}

// lines tell the way before the changes.
func (u *Upgrade) lines() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Upgrade of Kubernetes: %s\n", strings.Join(append([]string{u.From}, u.Path...), " -> "))
	last := u.Path[len(u.Path)-1]
	for i, version := range u.Path {
		fmt.Fprintf(&b, "  %s: control planes one after the other, each behind the health of the one before\n", version)
		if i == len(u.Path)-1 {
			fmt.Fprintf(&b, "  %s: then workers, %d at a time\n", last, u.MaxUnavailable)
		}
	}
	if len(u.Path) > 1 {
		fmt.Fprintf(&b, "The changes to %s follow; those of the versions after it are told when it is reached.\n", u.Path[0])
	}
	return b.String()
}

// PlanSummary counts a plan's changes.
type PlanSummary struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Delete  int `json:"delete"`
	Start   int `json:"start"`
	Stop    int `json:"stop"`
	Restart int `json:"restart"`
	Run     int `json:"run"`
	Load    int `json:"load"`
	Import  int `json:"import"`
	Hosts   int `json:"hosts"`   // with changes
	Objects int `json:"objects"` // changes in the cluster, not in the counts above
}

// Summary counts the changes: those of hosts by action, those of the cluster.
func (v PlanView) Summary() PlanSummary {
	var s PlanSummary
	hosts := make(map[string]bool)
	counts := map[spec.Action]*int{
		spec.Create: &s.Create, spec.Update: &s.Update, spec.Delete: &s.Delete, spec.Start: &s.Start, spec.Stop: &s.Stop,
		spec.Restart: &s.Restart, spec.Run: &s.Run, spec.Load: &s.Load, spec.Import: &s.Import,
	}
	for _, i := range v.Items {
		if i.Host == "" {
			s.Objects++
			continue
		}
		hosts[i.Host] = true
		if n := counts[i.Change.Action]; n != nil {
			*n++
		}
	}
	s.Hosts = len(hosts)
	return s
}

// PlanJSON writes the plan for programs, indented:
// {"upgrade":..,"changes":[{"host":..,"step":..,"change":{...}}],"summary":{...},
// "inventory":..}, the first and last of commands that have them. It goes out
// change by change: the whole would take more memory than all else of a plan for
// a thousand hosts.
func PlanJSON(w io.Writer, v PlanView) error {
	out := bufio.NewWriter(w) // it keeps its first error
	var one bytes.Buffer
	write := func(before string, value any, depth int) error {
		one.Reset()
		enc := json.NewEncoder(&one)
		enc.SetEscapeHTML(false)
		enc.SetIndent(strings.Repeat("  ", depth), "  ")
		if err := enc.Encode(value); err != nil {
			return err
		}
		out.WriteString(before)
		_, err := out.Write(bytes.TrimRight(one.Bytes(), "\n"))
		return err
	}
	out.WriteString("{")
	if v.Upgrade != nil {
		if err := write("\n  \"upgrade\": ", v.Upgrade, 1); err != nil {
			return err
		}
		out.WriteString(",")
	}
	out.WriteString("\n  \"changes\": [")
	before, after := "\n    ", "]"
	for _, i := range v.Items {
		if err := write(before, planned(i), 2); err != nil {
			return err
		}
		before, after = ",\n    ", "\n  ]"
	}
	out.WriteString(after)
	if err := write(",\n  \"summary\": ", v.Summary(), 1); err != nil {
		return err
	}
	if v.Inventory != nil { // of commands that change it
		if err := write(",\n  \"inventory\": ", v.Inventory, 1); err != nil {
			return err
		}
	}
	out.WriteString("\n}\n")
	return out.Flush()
}

// planned is an item as programs see it.
type planned struct {
	Host   string      `json:"host"`
	Step   string      `json:"step"`
	Title  string      `json:"title,omitempty"`
	Change spec.Change `json:"change"`
}

// Plan shows a plan to a person. A change that several hosts share is shown
// once, under the step and the hosts that it belongs to.
func Plan(w io.Writer, v PlanView, o Options) error {
	st := style{o}
	var b strings.Builder
	if v.Upgrade != nil {
		b.WriteString(v.Upgrade.lines() + "\n")
	}
	for _, s := range sections(v.Items, o.Verbose) {
		head := clean(s.title)
		if head == "" {
			head = "changes"
		}
		fmt.Fprintf(&b, "%s  %s\n", st.paint(bold, head), st.paint(dim, "("+whose(s.hosts)+")"))
		for _, c := range s.changes {
			st.change(&b, "", c.change)
			if c.like != "" {
				b.WriteString("      " + st.paint(dim, "differs from host to host; this is "+place(c.like)+", see all with -v") + "\n")
			}
		}
		b.WriteByte('\n')
	}
	if e := v.Inventory; e != nil {
		b.WriteString(st.paint(bold, "inventory") + "  " + st.paint(dim, "("+clean(e.File)+")") + "\n")
		for _, l := range e.Lines {
			b.WriteString("  " + clean(l) + "\n")
		}
		b.WriteByte('\n')
	}
	b.WriteString(planLine(v) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func whose(hosts []string) string {
	switch {
	case len(hosts) == 1 && hosts[0] == "":
		return "cluster"
	case len(hosts) == 1:
		return place(hosts[0])
	}
	return count(len(hosts), "host") + ": " + hostList(hosts)
}

// change shows a change; where, when not empty, is put in front.
func (st style) change(b *strings.Builder, where string, c spec.Change) {
	sign, tint, word := st.action(c.Action)
	what := clean(c.Resource)
	if word != "" { // "run kubeadm init", not "run command kubeadm init"
		what = strings.TrimPrefix(strings.TrimPrefix(what, "command "), "unit ")
	}
	line := "  " + where + st.paint(tint, sign) + " " + word + what
	if c.Detail != "" {
		line += "  " + clean(c.Detail)
	}
	if c.Pending != "" {
		line += "  " + st.paint(dim, "("+clean(c.Pending)+")")
	}
	b.WriteString(line + "\n")
	if c.Why != "" {
		b.WriteString("      " + st.paint(dim, "why: "+clean(c.Why)) + "\n")
	}
	for line := range strings.Lines(c.Diff) {
		line = clean(line)
		tint := none
		switch {
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			tint = dim
		case strings.HasPrefix(line, "+"):
			tint = green
		case strings.HasPrefix(line, "-"):
			tint = red
		case strings.HasPrefix(line, "@@"):
			tint = cyan
		}
		b.WriteString("        " + st.paint(tint, line) + "\n")
	}
}

func planLine(v PlanView) string {
	if len(v.Items) == 0 {
		if v.Hosts == 1 {
			return "Plan: nothing to do, the host is as it should be"
		}
		return fmt.Sprintf("Plan: nothing to do, %s are as they should be", count(v.Hosts, "host"))
	}
	s := v.Summary()
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.Create, "create"}, {s.Update, "change"}, {s.Delete, "delete"}, {s.Import, "import"}, {s.Load, "load"},
		{s.Start, "start"}, {s.Stop, "stop"}, {s.Restart, "restart"}, {s.Run, "run"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", p.n, p.what))
		}
	}
	line := "Plan: "
	if len(parts) > 0 {
		line += strings.Join(parts, ", ") + " on " + count(s.Hosts, "host")
		if s.Objects > 0 {
			line += "; "
		}
	}
	if s.Objects > 0 {
		line += count(s.Objects, "object") + " in the cluster"
	}
	return line
}

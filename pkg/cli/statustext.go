package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

// showStatus writes a look at a cluster: the whole in a few lines, its parts as
// tables, and in the end what a person should do about it.
func showStatus(w io.Writer, v *run.StatusView, o ui.Options) error {
	t := &statusText{w: w, o: o}
	t.table(nil, statusHead(v))
	t.table([]string{"node", "state", "host", "roles", "node ip", "kubelet", "runtime"}, statusNodes(v))
	t.table([]string{"component", "state", "version", "on"}, statusComponents(v))
	if v.Etcd != nil {
		t.line("")
		if t.err == nil {
			members := *v.Etcd
			members.Problems = nil // they are among the findings
			t.err = showEtcd(w, &members, o)
		}
	}
	t.table([]string{"certificate", "ends", "days", "on"}, statusCertificates(v))
	t.table([]string{"add-on", "state", "version"}, statusAddOns(v))
	if len(v.Findings) > 0 {
		t.line("")
	}
	for _, f := range v.Findings {
		sign, where := "!", ""
		if f.Verdict == run.Remark {
			sign = "-"
		}
		// An error names its host itself.
		if f.Host != "" && !strings.HasPrefix(f.Text, f.Host+": ") {
			where = f.Host + ": "
		}
		t.line("%s %s%s", sign, where, f.Text)
		if f.Hint != "" {
			t.line("    %s", f.Hint)
		}
	}
	t.line("")
	t.line("%s", statusEnd(v))
	return t.err
}

// statusText keeps the first error of many writes.
type statusText struct {
	w     io.Writer
	o     ui.Options
	begun bool
	err   error
}

func (t *statusText) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *statusText) table(header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	if t.begun {
		t.line("")
	}
	t.begun = true
	if t.err == nil {
		t.err = ui.Table(t.w, header, rows, t.o)
	}
}

func statusHead(v *run.StatusView) [][]string {
	version := v.Version
	switch {
	case version == "":
		version = "not known; the inventory says " + v.Wanted
	case version != v.Wanted:
		version += "; the inventory says " + v.Wanted
	}
	answers := "does not answer"
	switch {
	case v.API.Answers && v.API.Unready != "":
		answers = "answers, and is not well"
	case v.API.Answers:
		answers = "answers"
	}
	rows := [][]string{
		{"cluster", v.Cluster},
		{"kubernetes", version},
		{"api", fmt.Sprintf("%s; nodes reach it at %s (%s), people at %s", answers, v.API.Endpoint, v.API.Mode, v.API.Admin)},
	}
	switch d := v.Drift; {
	case d != nil && d.Error != nil:
		rows = append(rows, []string{"drift", "not known"})
	case d != nil:
		rows = append(rows, []string{"drift", "apply would change " + d.String()})
	}
	if r := v.LastRun; r != nil {
		text := fmt.Sprintf("%s at %s by %s: %s", r.Command, when(*r), r.User, r.Result)
		rows = append(rows, []string{"last run", text})
	}
	return rows
}

func statusNodes(v *run.StatusView) (rows [][]string) {
	for _, n := range v.Nodes {
		state := nodeState(n)
		if !v.API.Answers {
			state = "not known"
		}
		host := ""
		switch h := n.Host; {
		case h == nil:
		case !h.Reached:
			host = "out of reach"
		case !h.Containerd && !h.Kubelet:
			host = "nothing runs"
		case !h.Containerd:
			host = "no containerd"
		case !h.Kubelet:
			host = "no kubelet"
		default:
			host = "ok"
		}
		rows = append(rows, []string{n.Name, state, host, strings.Join(n.Roles, ","), n.NodeIP, n.Version, n.Runtime})
	}
	return rows
}

// statusComponents tells of components that are the same on several nodes once.
func statusComponents(v *run.StatusView) (rows [][]string) {
	for _, c := range v.Components {
		at := slices.IndexFunc(rows, func(r []string) bool { return r[0] == c.Name && r[1] == c.State && r[2] == c.Version })
		if at < 0 {
			rows = append(rows, []string{c.Name, c.State, c.Version, c.Node})
			continue
		}
		rows[at][3] += " " + c.Node
	}
	return rows
}

// statusCertificates tells of each name the certificate that ends first.
func statusCertificates(v *run.StatusView) (rows [][]string) {
	first := map[string]run.CertificateView{}
	var names []string
	for _, c := range v.Certificates {
		if c.Error != nil {
			continue
		}
		old, ok := first[c.Name]
		if !ok {
			names = append(names, c.Name)
		}
		if !ok || c.End.Before(old.End) {
			first[c.Name] = c
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return first[a].End.Compare(first[b].End) })
	for _, name := range names {
		c := first[name]
		rows = append(rows, []string{name, c.End.Format(time.DateOnly), fmt.Sprint(c.Days(v.Time)), c.Host})
	}
	return rows
}

func statusAddOns(v *run.StatusView) (rows [][]string) {
	for _, a := range v.AddOns {
		rows = append(rows, []string{a.Name, a.State, a.Version})
	}
	return rows
}

func statusEnd(v *run.StatusView) string {
	ready := 0
	for _, n := range v.Nodes {
		if n.Ready {
			ready++
		}
	}
	counted := fmt.Sprintf("%d of %d nodes are ready", ready, len(v.Nodes))
	if !v.API.Answers {
		counted = "its API does not answer"
	}
	switch v.Verdict {
	case run.Unwell:
		return v.Cluster + " is unwell: " + counted
	case run.Unreachable:
		return v.Cluster + " is not seen whole: " + counted
	case run.Drifted:
		return v.Cluster + " is well, and other than the inventory says: " + counted
	}
	return v.Cluster + " is well: " + counted
}

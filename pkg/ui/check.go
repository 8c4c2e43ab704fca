package ui

import (
	"fmt"
	"io"
	"strings"
)

// CheckView is what a check found, in the order in which it is told.
type CheckView struct {
	Hosts int // that were to be checked
	// Checked says what was looked at, for a check that found nothing.
	Checked string
	Items   []CheckItem
	Waived  []CheckItem // found, and not counted
}

// CheckItem is one finding.
type CheckItem struct {
	Severity string // error, warning or notice
	Rule     string
	Host     string // "" is the fleet
	Message  string
	Hint     string
	Reason   string // why the rule is waived
}

// Check shows what a check found: by rule, what is the same on several hosts
// once; or by host. Its last line counts.
func Check(w io.Writer, v CheckView, byHost bool, o Options) error {
	var b strings.Builder
	st := style{o}
	st.findings(&b, v.Items, v.Hosts, byHost)
	if len(v.Waived) > 0 {
		if len(v.Items) > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("waived by the inventory:\n")
		st.findings(&b, v.Waived, v.Hosts, byHost)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	errors, warnings := 0, 0
	hosts := map[string]bool{}
	for _, i := range v.Items {
		switch i.Severity {
		case "error":
			errors++
		case "warning":
			warnings++
		default:
			continue
		}
		if i.Host != "" {
			hosts[i.Host] = true
		}
	}
	sign, c := st.char(good), green
	switch {
	case errors > 0:
		sign, c = st.char(bad), red
	case warnings > 0:
		sign, c = st.char(caution), yellow
	}
	text := v.Checked + ": nothing found"
	if errors+warnings > 0 {
		text = fmt.Sprintf("%s, %s on %s", count(errors, "error"), count(warnings, "warning"), count(len(hosts), "host"))
	} else if len(v.Items) > 0 {
		text = v.Checked + ": no error and no warning"
	}
	b.WriteString(st.paint(c, sign+" "+text) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// findings draws items under heads of rule or host, in order of first
// appearance. By rule, items that say the same are put together.
func (st style) findings(b *strings.Builder, items []CheckItem, total int, byHost bool) {
	type told struct {
		CheckItem
		hosts []string
	}
	var heads []string
	under := map[string][]*told{}
	seen := map[CheckItem]*told{}
	for _, i := range items {
		head, key := i.Severity+"\x00"+i.Rule, i
		if byHost {
			head = i.Host
		} else {
			key.Host = ""
		}
		if t := seen[key]; t != nil {
			t.hosts = append(t.hosts, i.Host)
			continue
		}
		t := &told{i, []string{i.Host}}
		seen[key] = t
		if under[head] == nil {
			heads = append(heads, head)
		}
		under[head] = append(under[head], t)
	}
	for _, head := range heads {
		list := under[head]
		if byHost {
			b.WriteString(st.paint(bold, place(head)) + "\n")
		}
		for _, t := range list {
			sign, c := map[string]char{"error": bad, "warning": caution}[t.Severity], map[string]color{"error": red, "warning": yellow}[t.Severity]
			if sign == (char{}) {
				sign, c = skipped, dim
			}
			line, indent := st.paint(c, st.char(sign)+" "+clean(t.Rule)), "    "
			if byHost {
				line, indent = "  "+line, "      "
			} else {
				line += "  " + st.paint(bold, onHosts(t.hosts, total))
			}
			b.WriteString(line + "\n" + indent + clean(t.Message) + "\n")
			if t.Hint != "" {
				b.WriteString(indent + st.paint(dim, "fix: "+clean(t.Hint)) + "\n")
			}
			if t.Reason != "" {
				b.WriteString(indent + st.paint(dim, "reason: "+clean(t.Reason)) + "\n")
			}
		}
	}
}

func onHosts(hosts []string, total int) string {
	switch {
	case len(hosts) == 1 && hosts[0] == "":
		return "all hosts together"
	case len(hosts) == total && total > 1:
		return fmt.Sprintf("all %d hosts", total)
	}
	return hostList(hosts)
}

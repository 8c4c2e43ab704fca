package collect

import (
	"cmp"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

func (h *host) firewall(u units) facts.Firewall {
	var f facts.Firewall
	for _, m := range []struct{ name, unit string }{{"firewalld", "firewalld.service"}, {"nftables", "nftables.service"}, {"iptables", "iptables.service"}, {"netfilter-persistent", "netfilter-persistent.service"}} {
		if u.has(m.unit) && (h.unitActive(m.unit) || h.wanted("sysinit.target", m.unit) || h.wanted("multi-user.target", m.unit) || h.wanted("basic.target", m.unit)) {
			f.Managers = append(f.Managers, m.name)
		}
	}
	if strings.Contains("\n"+h.text("/etc/ufw/ufw.conf"), "\nENABLED=yes") {
		f.Managers = append(f.Managers, "ufw")
	}
	for _, family := range []struct{ file, name string }{{"ip_tables_names", "iptables"}, {"ip6_tables_names", "ip6tables"}} {
		for table := range strings.FieldsSeq(h.text("/proc/net/" + family.file)) {
			f.Tables = append(f.Tables, family.name+" "+table)
		}
	}
	// Only where it is there already: a question would load it. A kernel that
	// loads no modules at all has it built in, or says no.
	if h.live() && (h.exists("/sys/module/nf_tables") || !h.exists("/proc/modules")) {
		tables, drop := nftables()
		f.Tables, f.InputDrop = append(f.Tables, tables...), drop
	}
	slices.SortFunc(f.Tables, cmp.Compare[string])
	return f
}

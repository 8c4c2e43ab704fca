package inventory

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// Edit is a change of the hosts, or of a value, that an inventory file names. The
// file's text is changed at the places that the YAML nodes tell and nowhere else:
// comments, order, quotes, indentation and line ends stay as they are.
type Edit struct {
	Add    []Host   // behind the last host
	Remove []string // names
	// Version of Kubernetes; "" leaves it.
	Version string
	// Renewal is the schedule on which certificates are renewed; "" leaves it.
	Renewal string
}

// Text applies the edit to an inventory's text. Hosts that stay keep their
// roles: where one has its roles because of the hosts beside it ("the first is
// the control plane"), they are written down before that changes. The outcome is
// read again and compared with what was meant, so that a text that is written in
// a way unknown here is refused and never damaged. It gives what becomes of the
// new text too.
func (e Edit) Text(file, dir string, data []byte) ([]byte, *Cluster, error) {
	inv, c, _, err := Decode(file, dir, data)
	if err != nil {
		return nil, nil, err
	}
	if err := e.applicable(file, inv); err != nil {
		return nil, nil, err
	}
	e.Add = slices.Clone(e.Add)
	for i, h := range e.Add { // what is empty is not written, and is read back as nothing
		if len(h.Roles) == 0 {
			e.Add[i].Roles = nil
		}
		if len(h.Labels) == 0 {
			e.Add[i].Labels = nil
		}
	}
	want := *inv
	if e.Version != "" {
		want.Spec.Kubernetes.Version = e.Version
	}
	if e.Renewal != "" {
		want.Spec.Certificates.Renewal.Schedule = e.Renewal
	}
	want.Spec.Hosts = slices.DeleteFunc(slices.Clone(inv.Spec.Hosts), func(h Host) bool { return slices.Contains(e.Remove, h.Name) })
	want.Spec.Hosts = append(want.Spec.Hosts, e.Add...)
	pinned := pinRoles(want.Spec.Hosts, c.Hosts, want.Spec)

	out, ok := e.rewrite(data, pinned, want.Spec.Hosts)
	if got := reread(out); !ok || got == nil || !reflect.DeepEqual(*got, want) {
		return nil, nil, diag.New(diag.Unsupported, "edit inventory", "%s is written in a way that kforge does not change by itself", file).
			WithHint("%s", e.byHand(pinned))
	}
	_, after, _, err := Decode(file, dir, out)
	if err != nil {
		return nil, nil, errlist.Placeless(err)
	}
	return out, after, nil
}

// applicable finds hosts that are there already or are not there.
func (e Edit) applicable(file string, inv *Inventory) error {
	var errs errlist.List
	has := func(name string) bool {
		return slices.ContainsFunc(inv.Spec.Hosts, func(h Host) bool { return h.Name == name })
	}
	for _, h := range e.Add {
		if has(h.Name) && !slices.Contains(e.Remove, h.Name) {
			errs.Add(diag.New(diag.Invalid, "edit inventory", "%s has a host %q already", file, h.Name))
		}
	}
	for _, name := range e.Remove {
		if !has(name) {
			errs.Add(diag.New(diag.NotFound, "edit inventory", "%s has no host %q", file, name))
		}
	}
	return errs.Err()
}

// pinRoles writes into hosts the roles that those who were there before would
// lose or gain otherwise. It gives the hosts that it wrote into.
func pinRoles(hosts []Host, before []ResolvedHost, s Spec) (pinned []Host) {
	for {
		s.Hosts = hosts
		var after []ResolvedHost
		for _, h := range hosts {
			after = append(after, resolveHost(h, s))
		}
		inferRoles(after)
		i := slices.IndexFunc(before, func(b ResolvedHost) bool {
			return slices.ContainsFunc(after, func(a ResolvedHost) bool { return a.Name == b.Name && !slices.Equal(a.Roles, b.Roles) })
		})
		if i < 0 {
			return pinned
		}
		at := slices.IndexFunc(hosts, func(h Host) bool { return h.Name == before[i].Name })
		hosts[at].Roles = before[i].Roles
		pinned = append(pinned, hosts[at])
	}
}

// edited is a value and where it belongs.
type edited struct {
	value string
	keys  []string
}

func (e Edit) values() (out []edited) {
	if e.Version != "" {
		out = append(out, edited{e.Version, []string{"spec", "kubernetes", "version"}})
	}
	if e.Renewal != "" {
		out = append(out, edited{e.Renewal, []string{"spec", "certificates", "renewal", "schedule"}})
	}
	return out
}

// rewrite does the edit one change at a time, each from a fresh look at the
// nodes. It is not ok when a node is not where it was expected.
func (e Edit) rewrite(data []byte, pinned []Host, want []Host) (out []byte, ok bool) {
	step := func(change func(*hostsText) bool) bool {
		t := newHostsText(data)
		if t == nil || !change(t) {
			return false
		}
		data = t.patched()
		return true
	}
	long := len(pinned) > 0 || slices.ContainsFunc(e.Add, func(h Host) bool { return len(hostKeys(h)) > 2 })
	if long && !step((*hostsText).asList) {
		return nil, false
	}
	for _, v := range e.values() {
		if !step(func(t *hostsText) bool { return t.set(v.value, v.keys...) }) {
			return nil, false
		}
	}
	for _, h := range pinned {
		if !step(func(t *hostsText) bool { return t.setRoles(h) }) {
			return nil, false
		}
	}
	for _, h := range e.Add {
		if !step(func(t *hostsText) bool { return t.add(h) }) {
			return nil, false
		}
	}
	for _, name := range e.Remove {
		if !step(func(t *hostsText) bool { return t.remove(name) }) {
			return nil, false
		}
	}
	return data, true
}

// reread decodes the form of a text, without judging it; nil is a bad form.
func reread(data []byte) *Inventory {
	src := newSource("", data)
	root, err := src.parse(data)
	if err != nil {
		return nil
	}
	w, inv := newWalker(src), &Inventory{}
	w.value(root, "", reflect.ValueOf(inv).Elem(), rules{})
	if w.errs.Err() != nil {
		return nil
	}
	return inv
}

// byHand tells a person what to write.
func (e Edit) byHand(pinned []Host) string {
	var parts []string
	for _, h := range pinned {
		parts = append(parts, fmt.Sprintf("give host %s the line roles: [%s]", h.Name, strings.Join(h.Roles, ", ")))
	}
	for _, v := range e.values() {
		last := len(v.keys) - 1
		parts = append(parts, "write "+v.keys[last]+": "+scalarText(v.value)+" into "+strings.Join(v.keys[:last], "."))
	}
	for _, h := range e.Add {
		parts = append(parts, "add to spec.hosts: - "+Entry(h))
	}
	for _, name := range e.Remove {
		parts = append(parts, "take "+name+" out of spec.hosts")
	}
	return strings.Join(parts, "; ") + " by hand, then run the same command again"
}

// keyText is one line of a host's entry.
type keyText struct {
	key   string
	value any // string, int, []string or map[string]string
}

// hostKeys gives the keys that an entry of a host is written with. Settings
// that are not among them are not written: an edit that adds them is refused by
// its own comparison.
func hostKeys(h Host) []keyText {
	out := []keyText{{"name", h.Name}, {"address", h.Address}}
	for _, k := range []keyText{{"nodeIP", h.NodeIP}, {"class", h.Class}, {"hostKey", h.HostKey}, {"user", h.User}} {
		if k.value != "" {
			out = append(out, k)
		}
	}
	if h.Port != 0 {
		out = append(out, keyText{"port", h.Port})
	}
	if len(h.Roles) > 0 {
		out = append(out, keyText{"roles", h.Roles})
	}
	if len(h.Labels) > 0 {
		out = append(out, keyText{"labels", h.Labels})
	}
	return out
}

// Entry is a host as one line of an inventory: {name: n1, address: 10.0.0.1}.
func Entry(h Host) string { return flowEntry(hostKeys(h), scalarText) }

// hostsNode finds spec.hosts; nil when it is not there.
func hostsNode(root *yaml.Node) *yaml.Node { return at(root, "spec", "hosts") }

// at finds what is under keys inside of each other; nil when it is not there.
func at(root *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if root = valueOf(root, key); root == nil {
			return nil
		}
	}
	return root
}

// valueOf finds the value of a key in a mapping.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

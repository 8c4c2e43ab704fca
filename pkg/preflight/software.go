package preflight

import (
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
)

func foreignContainerd(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if len(f.Containerd.Foreign) == 0 {
		return nil
	}
	if kubeadm.MadeByOthers(f) {
		return warnf("move settings that you want to keep to "+node.ContainerdDropIns+"/*.toml before: kforge leaves those alone",
			"this node was made without kforge: apply replaces %s and keeps what was there beside it, under .kforge-orig",
			strings.Join(f.Containerd.Foreign, ", "))
	}
	return errorf("remove it, or move its settings to "+node.ContainerdDropIns+
		"/*.toml, which kforge leaves alone, and take its config.toml and unit away",
		"somebody else's containerd is on the host: %s", strings.Join(f.Containerd.Foreign, ", "))
}

// clashing software keeps a node from working; the rest is told only.
var clashing = map[string]string{
	"k3s":      "uninstall it: /usr/local/bin/k3s-uninstall.sh or k3s-agent-uninstall.sh",
	"rke2":     "uninstall it: /usr/local/bin/rke2-uninstall.sh",
	"k0s":      "uninstall it: k0s stop && k0s reset",
	"microk8s": "uninstall it: snap remove --purge microk8s",
}

var tolerated = map[string]string{
	"docker":    "docker sets the FORWARD policy to DROP, which can cut pods off: remove it unless it is needed",
	"cri-o":     "it is not used: stop and disable it",
	"firewalld": "let the nodes talk to each other (TCP 6443 and 10250, UDP 8472), or stop and disable it",
	"ufw":       "let the nodes talk to each other (TCP 6443 and 10250, UDP 8472), or disable it",
}

func conflict(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	var out []Finding
	for _, c := range f.Conflicts {
		if isKubelet(c) {
			continue
		}
		if hint, ok := clashing[c.Name]; ok {
			out = append(out, errorf(hint, "%s is on the host (%s): two of a kind cannot share it", c.Name, c.Seen)...)
			continue
		}
		hint, ok := tolerated[c.Name]
		if !ok {
			hint = "see that it leaves containers and their network alone"
		}
		out = append(out, warnf(hint, "%s is on the host (%s)", c.Name, c.Seen)...)
	}
	return out
}

func isKubelet(c facts.Conflict) bool { return strings.HasPrefix(c.Name, "kubelet") }

func foreignKubelet(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	for _, c := range f.Conflicts {
		if isKubelet(c) && kubeadm.MadeByOthers(f) {
			return warnf("remove its package when the node runs with the one of kforge",
				"this node was made without kforge: apply puts a kubelet before the one that is there (%s)", c.Seen)
		}
		if isKubelet(c) {
			return errorf("remove it: apt-get remove kubelet kubeadm, or dnf remove kubelet kubeadm",
				"a kubelet that kforge did not install is on the host (%s)", c.Seen)
		}
	}
	return nil
}

// staleJoin finds a worker of a cluster that is no more: no control plane has
// one. It would never become a node of the new one.
func staleJoin(in Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	if h.ControlPlane() || !f.Kubernetes.KubeletConf {
		return nil
	}
	var planes []string
	for _, p := range in.Cluster.ControlPlanes() {
		control := in.Facts[p.Name]
		if control == nil || control.Kubernetes.AdminConf {
			return nil
		}
		planes = append(planes, p.Name)
	}
	if len(planes) == 0 {
		return nil
	}
	// A join that was cut off is reset by the next one.
	if slices.Contains(f.Kubernetes.Interrupted, kubeadm.JoinID) {
		return nil
	}
	return errorf("when nothing of it is wanted any more, run `kubeadm reset` on the host",
		"%s is there: the host is a node of another cluster, for the control plane %s holds none",
		kubeadm.KubeletConf, strings.Join(planes, ", "))
}

func resolver(in Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	const hint = "name your DNS servers in the inventory: spec.dns.servers"
	r, err := node.ChooseResolver(in.Cluster.DNSServers, f.Resolver, in.FallbackDNS)
	switch {
	case err != nil:
		return errorf(hint, "no DNS servers for pods: %s names no usable one (%s)", f.Resolver.Path, strings.Join(f.Resolver.Servers, ", "))
	case r.Guessed:
		who := strings.Join(f.Resolver.Servers, ", ")
		if s := f.Resolver.Stub; s != "" && s != "unknown" {
			who += " (" + s + ")"
		}
		return warnf(hint, "the host asks %s, which pods cannot, and does not tell who is behind it: pods will ask %s", who, strings.Join(in.FallbackDNS, ", "))
	}
	return nil
}

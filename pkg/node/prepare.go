package node

import "kforge.dev/kforge/pkg/spec"

// Prepare gives the kernel's side of a host: modules, settings, swap. Modules
// come first, since the bridge settings exist only with br_netfilter.
func Prepare(in Input) []spec.Resource {
	const modules = "/etc/modules-load.d/kforge.conf"
	const sysctl = "/etc/sysctl.d/90-kforge.conf"
	out := []spec.Resource{{
		ID: "modules " + modules, Why: "containers and pod networks need them",
		Modules: &spec.Modules{
			Path:     modules,
			Names:    []string{"overlay", "br_netfilter"},
			Optional: []string{"nf_conntrack", "vxlan"},
		},
	}, {
		ID: "sysctl " + sysctl, Why: "pods' packets are forwarded and seen by the packet filter",
		Sysctl: &spec.Sysctl{
			Path: sysctl,
			Values: map[string]string{
				"net.ipv4.ip_forward":                 "1",
				"net.bridge.bridge-nf-call-iptables":  "1",
				"net.bridge.bridge-nf-call-ip6tables": "1",
				// The kernel's 128 instances per user run out at a few dozen
				// pods that watch files.
				"fs.inotify.max_user_instances": "8192",
				"fs.inotify.max_user_watches":   "524288",
			},
			BestEffort: []string{
				"net.bridge.bridge-nf-call-ip6tables", // no IPv6 in the kernel
				"fs.inotify.max_user_instances",
				"fs.inotify.max_user_watches",
			},
		},
	}}
	if in.Host.SwapOff {
		out = append(out, spec.Resource{
			ID: "swap", Why: "the kubelet does not start with swap on",
			Swap: &spec.Swap{Off: true},
		})
	}
	return out
}

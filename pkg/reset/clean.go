// Package reset says what has to go when hosts leave a cluster: resources for
// what a host must not hold any more, and the steps around them. It acts on
// nothing, and names only what kforge put there, or the cluster that it runs.
package reset

import (
	"net"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/spec"
)

// Host is a host that is to hold nothing of the cluster any more.
type Host struct {
	inventory.ResolvedHost
	Facts *facts.Host // nil when it cannot be reached
	// Wipe are disks of which nothing is to be left: /dev/disk/by-id/...
	Wipe []string
}

// etcdData is where kubeadm puts etcd's data.
const etcdData = "/var/lib/etcd"

// kubeadmFiles are those that kubeadm writes. Static pods of others stay.
var kubeadmFiles = []string{
	"/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml",
	"/etc/kubernetes/manifests/kube-controller-manager.yaml", "/etc/kubernetes/manifests/kube-scheduler.yaml",
	"/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf", "/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf",
	"/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf", "/etc/kubernetes/tmp", "/etc/kubernetes/pki", node.CertsBackups,
}

// nodeFiles are those of the kubelet and of the pod network on a node.
var nodeFiles = []string{
	"/var/lib/kubelet", "/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes",
	"/etc/cni/net.d/10-flannel.conflist", "/opt/cni/bin/flannel", "/var/lib/cni", "/run/flannel",
	node.LoadBalancerRun,
}

// runtimeFiles are containerd's state: images, snapshots, sandboxes.
var runtimeFiles = []string{"/var/lib/containerd", "/run/containerd", "/opt/containerd"}

// emptyDirs hold nothing but what a cluster needs; with something of somebody's
// in them they stay. Deeper ones come first.
var emptyDirs = []string{
	"/etc/kubernetes/manifests", node.KubeletDropIns, node.LoadBalancerDir, "/etc/kubernetes", "/etc/cni/net.d", "/etc/cni", "/opt/cni/bin", "/opt/cni",
	node.ContainerdDropIns, "/etc/containerd/certs.d", "/etc/containerd", "/etc/systemd/system/kubelet.service.d",
	"/lib/modules", // made for kube-proxy's mount of it on a host that has none
}

// Ours tells what on a host belongs to kforge and its cluster.
type Ours struct {
	Kubelet bool // and all that kubeadm and pods left
	Runtime bool // containerd with its state
	Etcd    bool // of a control plane
}

// Judge looks at the facts. A kubelet or containerd that kforge did not install
// is somebody else's, with all that it holds; so is etcd's data on a host that is
// no control plane.
func Judge(f *facts.Host) Ours {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(f.Leftovers, func(l facts.Leftover) bool { return l.Ours && slices.Contains(kinds, l.Kind) })
	}
	foreign := slices.ContainsFunc(f.Conflicts, func(c facts.Conflict) bool { return c.Name == "kubelet" })
	o := Ours{
		Kubelet: !foreign && (has("kubelet", "kubernetes", "etcd", "cni", "interface") || len(f.Kubernetes.Interrupted) > 0),
		Runtime: len(f.Containerd.Foreign) == 0 && has("containerd"),
	}
	o.Etcd = o.Kubelet && (f.Kubernetes.AdminConf || slices.ContainsFunc(f.Leftovers, func(l facts.Leftover) bool {
		return l.Path == kubeadmFiles[0]
	}))
	return o
}

// Clean gives the resources that take everything of ours off a host, in their
// order: what runs, what it mounted and routed, what it stored, what kforge put
// there; the proof of what is ours goes last, so that a reset that was cut off
// goes on. Cut off among the very last files it may leave empty directories.
// Kernel settings and modules stay as they are until the next boot.
func Clean(h Host, c *inventory.Cluster) []spec.Resource {
	ours := Judge(h.Facts)
	var out []spec.Resource
	if ours.Kubelet {
		out = append(out, unit("kubelet.service", "stopped", h.TimeoutScale))
	}
	if ours.Runtime { // before the containers: it starts helpers for each that dies
		out = append(out, unit("containerd.service", "stopped", h.TimeoutScale))
	}
	if ours.Kubelet && ours.Runtime {
		out = append(out, spec.Resource{ID: "containers", Why: "the host's pods end here", Containers: &spec.Containers{
			Namespace: "k8s.io", Cgroups: []string{"kubepods.slice", "kubepods"},
		}})
	}
	if ours.Kubelet {
		out = append(out, spec.Resource{ID: "unit kubepods.slice", Unit: &spec.Unit{Name: "kubepods.slice", State: "forgotten", TimeoutSeconds: node.Scale(90, h.TimeoutScale)}})
	}
	out = append(out, traces(h, c, ours)...)
	out = append(out, services(h, c)...)
	for _, d := range h.Wipe {
		out = append(out, spec.Resource{ID: "disk " + d, Why: "named by --wipe-disks", Wiped: &spec.Wiped{Device: d}})
	}
	owned := &spec.Owned{}
	if ours.Kubelet || ours.Runtime {
		owned.EmptyDirs = emptyDirs
	}
	out = append(out,
		spec.Resource{ID: "swap", Why: "the swap lines that were switched off", Swap: &spec.Swap{Restore: true}},
		spec.Resource{ID: "kforge's files", Owned: owned},
	)
	// Only systemd's memory of units whose files are gone: nothing on a disk.
	if ours.Kubelet {
		out = append(out, forget("kubelet.service"))
	}
	if ours.Runtime {
		out = append(out, forget("containerd.service"))
	}
	return out
}

func unit(name, state string, scale float64) spec.Resource {
	return spec.Resource{ID: "unit " + name, Unit: &spec.Unit{Name: name, Enabled: spec.Bool(false), State: state, TimeoutSeconds: node.Scale(90, scale)}}
}

func forget(name string) spec.Resource {
	return spec.Resource{ID: "unit " + name + " gone", Unit: &spec.Unit{Name: name, State: "forgotten"}}
}

// traces are mounts, interfaces, rules and files that kubelet, containerd and
// pods leave. Etcd's data goes before the manifest that shows whose it is.
func traces(h Host, c *inventory.Cluster, ours Ours) []spec.Resource {
	var below, files []string
	if ours.Etcd {
		files = append(files, etcdData)
	}
	if ours.Kubelet {
		below = append(below, "/var/lib/kubelet", "/run/netns/cni-*")
		files = append(files, "/run/netns/cni-*")
		files = append(files, kubeadmFiles...)
		files = append(files, nodeFiles...)
	}
	if ours.Runtime {
		below = append(below, "/run/containerd", "/var/lib/containerd")
		files = append(files, runtimeFiles...)
	}
	if len(files) == 0 {
		return nil
	}
	out := []spec.Resource{{ID: "mounts", Unmounted: &spec.Unmounted{Below: below}}}
	if ours.Kubelet {
		chains := []string{"KUBE-*", "FLANNEL-*"}
		tables := []string{"ip kube-proxy", "ip6 kube-proxy", "ip flannel-ipv4", "ip6 flannel-ipv6"}
		if !podman(h.Facts) { // it has host ports by the same names
			chains = append(chains, "CNI-HOSTPORT-*", "CNI-DN-*")
			tables = append(tables, "ip cni_hostport", "ip6 cni_hostport")
		}
		links := &spec.NoLinks{Names: []string{"cni0", "flannel.*", "flannel-v6.*"}, RoutesIn: []string{c.PodCIDR}}
		if address, _, err := net.SplitHostPort(c.Endpoint); err == nil && c.EndpointMode == inventory.EndpointKubeVIP {
			links.Addresses = []string{address} // kube-vip gives it up only when it ends in peace
		}
		out = append(out,
			spec.Resource{ID: "pod network", NoLinks: links},
			spec.Resource{ID: "packet filter", NoFilter: &spec.NoFilter{Tables: tables, Chains: chains}},
		)
	}
	return append(out, spec.Resource{ID: "cluster's data", Absent: &spec.Absent{Paths: files}})
}

func podman(f *facts.Host) bool {
	return slices.ContainsFunc(f.Leftovers, func(l facts.Leftover) bool {
		return l.Kind == "interface" && (strings.HasPrefix(l.Path, "podman") || strings.HasPrefix(l.Path, "cni-podman"))
	})
}

// services takes our drop-ins from time and name service, and has their
// daemons read what is left.
func services(h Host, c *inventory.Cluster) []spec.Resource {
	var out []spec.Resource
	drop := func(path, name string) {
		out = append(out,
			spec.Resource{ID: "file " + path, File: &spec.File{Path: path, Mode: 0o644, Absent: true}},
			spec.Resource{ID: "unit " + name, Unit: &spec.Unit{Name: name, RestartOn: []string{path}}},
		)
	}
	if t := h.Facts.Time; len(h.TimeServers) > 0 && t.DropIn != "" {
		drop(t.DropIn, t.Unit)
	}
	if c.ManageHostDNS && len(c.DNSServers) > 0 {
		drop(node.ResolvedDropIn, "systemd-resolved.service")
	}
	return out
}

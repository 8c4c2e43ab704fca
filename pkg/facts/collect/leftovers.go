package collect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// traces are files that count when they are there, and directories that count
// when they hold something.
var traces = []struct {
	kind  string
	globs []string
}{
	{"containerd", []string{"/etc/containerd/config.toml", "/etc/containerd/conf.d/*", "/var/lib/containerd"}},
	{"docker", []string{"/etc/docker/daemon.json", "/var/lib/docker"}},
	{"cri-o", []string{"/etc/crio/crio.conf", "/etc/crio/crio.conf.d/*", "/var/lib/containers"}},
	{"kubelet", []string{"/var/lib/kubelet", "/etc/default/kubelet", "/etc/sysconfig/kubelet", "/etc/systemd/system/kubelet.service.d/*"}},
	{"kubernetes", []string{"/etc/kubernetes/*.conf", "/etc/kubernetes/manifests/*", "/etc/kubernetes/pki", "/etc/rancher", "/var/lib/rancher", "/var/lib/k0s"}},
	{"etcd", []string{"/var/lib/etcd/member", "/var/lib/etcd/default.etcd", "/var/lib/etcd/data"}},
	{"cni", []string{"/etc/cni/net.d/*", "/opt/cni/bin", "/var/lib/cni", "/var/lib/calico", "/run/flannel"}},
	{"rook", []string{"/var/lib/rook"}},
}

// podNetworks are beginnings of the names of interfaces that pod networks and
// container engines make.
var podNetworks = []string{"cni", "flannel", "docker", "cali", "vxlan.calico", "cilium", "lxc", "weave", "kube-", "nodelocaldns", "antrea-", "ovn-", "podman"}

func (h *host) leftovers() []facts.Leftover {
	var out []facts.Leftover
	// What lies in the folders of a runtime or a kubelet that kforge runs is its
	// cluster's.
	runtime := h.ours("/etc/containerd/config.toml")
	kubelet := h.ours(h.find("kubelet"))
	ours := func(kind string) bool {
		switch kind {
		case "containerd":
			return runtime
		case "docker", "cri-o":
			return false
		}
		return kubelet
	}
	for _, t := range traces {
		for _, g := range t.globs {
			for _, p := range h.glob(g) {
				fi, err := os.Stat(h.path(p))
				if err != nil || fi.IsDir() && len(h.entries(p)) == 0 {
					continue
				}
				out = append(out, facts.Leftover{Kind: t.kind, Path: p, Ours: ours(t.kind) || h.ours(p)})
			}
		}
	}
	for _, dir := range h.glob("/sys/class/net/*") {
		name := filepath.Base(dir)
		// A pod's end of a pair is called lxc too by Cilium, and a system
		// container's bridge lxcbr0.
		if !strings.HasPrefix(name, "lxcbr") && slices.ContainsFunc(podNetworks, func(p string) bool { return strings.HasPrefix(name, p) }) {
			out = append(out, facts.Leftover{Kind: "interface", Path: name, Ours: kubelet && !strings.HasPrefix(name, "docker") && !strings.HasPrefix(name, "podman")})
		}
	}
	return out
}

func (h *host) locate(u units) facts.Locate {
	var l facts.Locate
	for _, name := range []string{"plocate", "mlocate", "locate"} {
		bin := "updatedb." + name
		if name == "locate" {
			bin = "updatedb"
		}
		if l.Program == "" && (h.find(bin) != "" || name != "locate" && h.find(name) != "") {
			l.Program = name
		}
		for _, timer := range []string{name + "-updatedb.timer", "updatedb.timer", name + ".timer"} {
			l.Active = l.Active || l.Program != "" && u.has(timer) && h.wanted("timers.target", timer)
		}
		l.Active = l.Active || l.Program != "" && h.exists("/etc/cron.daily/"+name)
	}
	l.Config = "/etc/updatedb.conf"
	text := h.text(l.Config)
	if text == "" {
		l.Config = ""
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		switch strings.TrimSpace(key) {
		case "PRUNEPATHS":
			l.PrunePaths = strings.Fields(value)
		case "PRUNEFS":
			l.PruneFS = strings.Fields(value)
		case "PRUNE_BIND_MOUNTS":
			l.PruneBindMounts = slices.Contains([]string{"yes", "1"}, strings.ToLower(value))
		}
	}
	return l
}

// wanted tells whether a unit is started with a target: a link that an
// administrator or a package made.
func (h *host) wanted(target, unit string) bool {
	for _, dir := range unitDirs {
		if _, err := os.Lstat(h.path(dir + "/" + target + ".wants/" + unit)); err == nil {
			return true
		}
	}
	return false
}

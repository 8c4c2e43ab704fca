package collect

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// unitDirs hold unit files, in the order in which systemd prefers them.
var unitDirs = []string{
	"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/run/systemd/generator.late",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

var binDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// units are the unit files that are there, by name: the path that counts.
type units map[string]string

func (u units) has(name string) bool { return u[name] != "" }

func (h *host) units() units {
	u := units{}
	for _, dir := range unitDirs {
		entries, err := os.ReadDir(h.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if _, ok := u[e.Name()]; ok || e.IsDir() {
				continue
			}
			u[e.Name()] = ""
			if !h.masked(e.Name()) {
				u[e.Name()] = filepath.Join(dir, e.Name())
			}
		}
	}
	return u
}

func (h *host) masked(unit string) bool {
	target, err := os.Readlink(h.path("/etc/systemd/system/" + unit))
	return err == nil && target == "/dev/null"
}

// unitActive asks the control groups: a service that runs has processes in its
// group. systemd's own link tells where there are none to look at.
func (h *host) unitActive(unit string) bool {
	looked := false
	for _, base := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		slice := base + "/system.slice"
		if !h.exists(slice) {
			continue
		}
		looked = true
		if h.line(slice+"/"+unit+"/cgroup.procs") != "" {
			return true
		}
	}
	if looked {
		return false
	}
	_, err := os.Lstat(h.path("/run/systemd/units/invocation:" + unit))
	return err == nil
}

// ours tells whether kforge put a file there.
func (h *host) ours(p string) bool {
	if p == "" {
		return false
	}
	if rec, err := h.records.Path(p); err == nil && rec != nil {
		return true
	}
	fi, err := os.Stat(h.path(p))
	if err != nil || fi.Size() > 1<<20 {
		return false
	}
	return strings.Contains(h.text(p), spec.Header)
}

func (h *host) find(name string) string {
	for _, dir := range binDirs {
		p := dir + "/" + name
		if fi, err := os.Stat(h.path(p)); err == nil && fi.Mode().IsRegular() {
			return p
		}
	}
	return ""
}

var versionWord = regexp.MustCompile(`\bv?\d+\.\d+\.\d+[-+.~\w]*`)

// version asks a program for its version, which is not written down anywhere
// (a kubelet takes 50 ms to tell). It is given little time, and none below
// another root.
func (h *host) version(bin string) string {
	if bin == "" || !h.live() {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "--version")
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"PATH=" + strings.Join(binDirs, ":"), "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return versionWord.FindString(string(out))
}

func (h *host) containerd(u units) facts.Containerd {
	c := facts.Containerd{Binary: h.find("containerd"), Active: h.unitActive("containerd.service")}
	suspects := []string{"/etc/containerd/config.toml", u["containerd.service"]}
	for _, dir := range binDirs {
		suspects = append(suspects, dir+"/containerd")
	}
	var seen []os.FileInfo // /bin may be /usr/bin
	for _, p := range suspects {
		if p == "" {
			continue
		}
		fi, err := os.Stat(h.path(p))
		if err != nil || h.ours(p) || slices.ContainsFunc(seen, func(o os.FileInfo) bool { return os.SameFile(o, fi) }) {
			continue
		}
		seen = append(seen, fi)
		c.Foreign = append(c.Foreign, p)
	}
	return c
}

func (h *host) kubernetes(u units) facts.Kubernetes {
	k := facts.Kubernetes{
		KubeletActive: h.unitActive("kubelet.service"),
		AdminConf:     h.exists("/etc/kubernetes/admin.conf"),
		KubeletConf:   h.exists("/etc/kubernetes/kubelet.conf"),
		Components:    h.components(),
	}
	if ids, err := h.records.Interrupted(); err == nil {
		k.Interrupted = ids
	}
	return k
}

// components reads which images the control plane runs. A manifest of kubeadm's
// has one container; what cannot be read is left out.
func (h *host) components() map[string]string {
	var out map[string]string
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"} {
		for line := range strings.Lines(h.text("/etc/kubernetes/manifests/" + name + ".yaml")) {
			image, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- ")), "image: ")
			if !ok {
				continue
			}
			if out == nil {
				out = map[string]string{}
			}
			out[name] = strings.Trim(strings.TrimSpace(image), `"'`)
			break
		}
	}
	return out
}

// others is software that gets in the way, with the units and paths that it is
// seen by.
var others = []struct {
	name  string
	units []string
	paths []string
}{
	{"docker", []string{"docker.service"}, []string{"/usr/bin/dockerd", "/usr/local/bin/dockerd"}},
	{"cri-o", []string{"crio.service"}, []string{"/usr/bin/crio", "/usr/local/bin/crio"}},
	{"k3s", []string{"k3s.service", "k3s-agent.service"}, []string{"/usr/local/bin/k3s"}},
	{"rke2", []string{"rke2-server.service", "rke2-agent.service"}, []string{"/usr/local/bin/rke2"}},
	{"k0s", []string{"k0scontroller.service", "k0sworker.service"}, []string{"/usr/local/bin/k0s"}},
	{"microk8s", []string{"snap.microk8s.daemon-kubelite.service"}, []string{"/snap/bin/microk8s", "/var/snap/microk8s"}},
	{"firewalld", []string{"firewalld.service"}, nil},
	{"ufw", []string{}, []string{}}, // see conflicts: the unit is there on every Ubuntu
}

func (h *host) conflicts(u units) []facts.Conflict {
	var out []facts.Conflict
	for _, o := range others {
		seen := ""
		for _, unit := range o.units {
			if u.has(unit) && seen == "" {
				seen = u[unit]
			}
		}
		for _, p := range o.paths {
			if seen == "" && h.exists(p) {
				seen = p
			}
		}
		if o.name == "ufw" && strings.Contains("\n"+h.text("/etc/ufw/ufw.conf"), "\nENABLED=yes") {
			seen = "/etc/ufw/ufw.conf"
		}
		if seen != "" {
			out = append(out, facts.Conflict{Name: o.name, Seen: seen})
		}
	}
	for _, p := range []string{u["kubelet.service"], "/usr/bin/kubelet"} {
		if p != "" && h.exists(p) && !h.ours(p) {
			out = append(out, facts.Conflict{Name: "kubelet", Seen: p})
			break
		}
	}
	return out
}

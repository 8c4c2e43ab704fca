package preflight

import (
	"net/netip"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node"
)

// Least of a machine. 2 CPUs and 1700 MiB are kubeadm's own minima of a control
// plane.
const (
	controlPlaneCPUs   = 2
	controlPlaneMemory = 1700 << 20
	workerMemory       = 512 << 20
	diskNeeded         = 5 << 30
)

func architecture(in Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	const hint = "kforge knows artifacts of amd64 and arm64; take the host out of the inventory, or make a bundle that has them"
	arch := f.Kernel.Arch
	if in.HasArtifacts != nil {
		if err := in.HasArtifacts(arch); err != nil {
			return errorf(hint, "no artifacts for architecture %s: %v", arch, err)
		}
		return nil
	}
	if arch != "amd64" && arch != "arm64" {
		return errorf(hint, "no artifacts for architecture %q", arch)
	}
	return nil
}

func systemd(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	switch {
	case f.OS.Systemd == 0:
		return errorf("kforge runs containerd and the kubelet as systemd units: install a system with systemd",
			"systemd is not process 1 on %s", f.OS.Name)
	case f.OS.Systemd < 239:
		return warnf("kforge is tried with systemd 239 and newer: take a newer release of the system",
			"systemd %d is old", f.OS.Systemd)
	}
	return nil
}

func kernel(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	const hint = "install a newer kernel: 5.13 or newer is best, since nftables works from there on"
	switch release := f.Kernel.Release; {
	case !node.KernelAtLeast(release, 4, 19):
		return errorf(hint, "kernel %s is too old: Kubernetes wants 4.19 at least", release)
	case !node.KernelAtLeast(release, 5, 4):
		return warnf(hint, "kernel %s is older than what Kubernetes is tested with (5.4)", release)
	}
	return nil
}

func cgroup(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	if f.Kernel.Cgroup != 1 {
		return nil
	}
	if !h.CgroupV1 {
		return errorf("boot the host with systemd.unified_cgroup_hierarchy=1, or accept it for now: write `cgroupV1: allow` for the host",
			"the host has cgroup v1, with which the kubelet does not start by itself")
	}
	return warnf("plan to boot the host with systemd.unified_cgroup_hierarchy=1: a coming Kubernetes drops cgroup v1",
		"the host has cgroup v1, as the inventory allows")
}

// neededControllers are those of cgroup v2 without which kubeadm goes no further;
// devices and freezer are part of the kernel since 4.15 and 5.2.
var neededControllers = []string{"cpu", "cpuset", "memory", "pids"}

// controllers finds what small boards boot without (cgroup_disable=memory), and
// kernels that were built without it. A host that tells of none was not asked.
func controllers(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if f.Kernel.Cgroup != 2 || len(f.Kernel.Controllers) == 0 {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(neededControllers), func(c string) bool { return slices.Contains(f.Kernel.Controllers, c) })
	if len(missing) == 0 {
		return nil
	}
	return errorf("take cgroup_disable= out of the kernel's command line (on small boards: add cgroup_enable=memory), or boot a kernel that has them",
		"the kernel has no cgroup controller %s (it has %s): kubeadm refuses such a host", strings.Join(missing, ", "), strings.Join(f.Kernel.Controllers, " "))
}

func kmsg(_ Input, _ inventory.ResolvedHost, f *facts.Host) []Finding {
	if f.Kernel.KmsgReadable {
		return nil
	}
	return errorf("let the host have the device: in a container, pass /dev/kmsg to it",
		"/dev/kmsg cannot be read, and the kubelet ends at once without it")
}

func resources(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	var out []Finding
	if h.ControlPlane() {
		const hint = "give the machine more, or the role control-plane to another host"
		if f.CPU.Logical < controlPlaneCPUs {
			out = append(out, errorf(hint, "%d CPU: a control plane needs %d", f.CPU.Logical, controlPlaneCPUs)...)
		}
		if f.Memory.Total < controlPlaneMemory {
			out = append(out, errorf(hint, "%s of memory: a control plane needs 1700 MiB", bytesText(f.Memory.Total))...)
		}
		return out
	}
	if f.CPU.Logical < 1 {
		out = append(out, errorf("look at /proc/cpuinfo on the host", "no CPU was found")...)
	}
	if f.Memory.Total < workerMemory {
		out = append(out, errorf("give the machine more, or take it out of the inventory",
			"%s of memory: a node needs 512 MiB", bytesText(f.Memory.Total))...)
	}
	return out
}

// disk wants room for binaries and images, and says when the kubelet would be
// under disk pressure from the start.
func disk(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	policy := node.Disk(f)
	var out []Finding
	seen := map[string]bool{}
	for _, d := range []struct {
		path      string
		threshold uint64
	}{
		{"/var/lib/kubelet", policy.NodeFSBytes},
		{"/var/lib/containerd", policy.ImageFSBytes},
	} {
		space := node.Space(f, d.path)
		if space.Path == "" || seen[space.Mount] {
			continue
		}
		seen[space.Mount] = true
		installed := joined(f)
		switch {
		case space.Available < d.threshold:
			out = append(out, errorf("free space on it, or mount a larger disk at "+d.path,
				"%s has %s available of %s: the node would be under disk pressure, which begins at %s",
				space.Mount, bytesText(space.Available), bytesText(space.Total), bytesText(d.threshold))...)
		case space.Available < diskNeeded && !installed:
			out = append(out, errorf("free space on it, or mount a larger disk at "+d.path,
				"%s has %s available: binaries and images need 5 GiB", space.Mount, bytesText(space.Available))...)
		case space.Available < 2*d.threshold:
			out = append(out, warnf("free space on it, or mount a larger disk at "+d.path,
				"%s has %s available: disk pressure begins at %s",
				space.Mount, bytesText(space.Available), bytesText(d.threshold))...)
		}
	}
	return append(out, rooms(h, f, seen)...)
}

// rooms looks at file systems of their own beside the kubelet's and containerd's.
// seen are mounts of which all is said already.
func rooms(h inventory.ResolvedHost, f *facts.Host, seen map[string]bool) []Finding {
	const mib = 1 << 20
	var out []Finding
	for _, r := range []struct {
		path   string
		needed uint64
		what   string
		plane  bool // on control planes only
	}{
		{"/var/lib/etcd", 2048 * mib, "etcd's data", true}, // etcd's own limit of its size
		{"/var/lib/kforge", 2048 * mib, "binaries and images on their way", false},
		{"/usr/local/bin", 512 * mib, "binaries", false},
		{"/opt/cni/bin", 128 * mib, "network plug-ins", false},
		{"/var/log", 128 * mib, "logs of pods", false},
		{"/tmp", 32 * mib, "temporary files", false},
	} {
		space := node.Space(f, r.path)
		if space.Path == "" || seen[space.Mount] || r.plane && !h.ControlPlane() {
			continue
		}
		seen[space.Mount] = true
		hint := "free space on it, or mount a larger disk at " + r.path
		switch {
		case space.Available >= r.needed:
		case !joined(f):
			out = append(out, errorf(hint, "%s has %s available of %s: %s need %s", space.Mount, bytesText(space.Available), bytesText(space.Total), r.what, bytesText(r.needed))...)
		case space.Available < r.needed/4: // what is installed takes its part
			out = append(out, warnf(hint, "%s has %s available of %s, for %s", space.Mount, bytesText(space.Available), bytesText(space.Total), r.what)...)
		}
	}
	return out
}

func address(_ Input, h inventory.ResolvedHost, f *facts.Host) []Finding {
	const hint = "write the address that other nodes reach the host by: nodeIP"
	switch a := node.FindAddress(h, f); {
	case a.IP == "":
		return errorf(hint, "no address for the node: no interface has %s, and none has a default route", h.Address)
	case !a.Found:
		return errorf(hint, "no interface of the host has the address %s", a.IP)
	case h.NodeIP == "" && isIP(h.Address) && a.IP != h.Address:
		return warnf(hint, "the node's address will be %s of %s: no interface has %s", a.IP, a.Interface.Name, h.Address)
	}
	return nil
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

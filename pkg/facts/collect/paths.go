package collect

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/facts"
)

// spacePaths are the paths that fill up.
var spacePaths = []string{"/", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/etcd", "/tmp", "/var/log", "/var/lib/kforge", "/usr/local/bin", "/opt/cni/bin"}

func (h *host) paths(mounts []mount) []facts.PathSpace {
	var out []facts.PathSpace
	for _, p := range spacePaths {
		// A path that is not there yet will be made on its nearest parent.
		near := p
		for near != "/" && !h.exists(near) {
			near = filepath.Dir(near)
		}
		var st unix.Statfs_t
		if err := unix.Statfs(h.path(near), &st); err != nil {
			continue
		}
		real := near
		if h.live() {
			if r, err := filepath.EvalSymlinks(near); err == nil {
				real = r
			}
		}
		m := mountOf(mounts, real)
		size := uint64(st.Bsize)
		out = append(out, facts.PathSpace{
			Path: p, Mount: m.point, Type: m.kind, Options: m.options, Device: m.source,
			Total: st.Blocks * size, Available: st.Bavail * size, Inodes: st.Files, InodesFree: st.Ffree,
		})
	}
	return out
}

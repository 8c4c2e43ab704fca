package resource

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// killWithin is how long the kernel may take to end killed processes: one that
// waits for a broken disk or a lost NFS server does not end at all.
const killWithin = 30 * time.Second

// shim is the program that holds a container.
const shim = "containerd-shim-"

type containersKind struct{ want *spec.Containers }

type containersState struct {
	containersKind
	shims int
	pids  []int
}

// process is what /proc tells of one.
type process struct {
	pid, parent int
	shim        bool
	cgroup      bool // is in one of the groups
}

func (k containersKind) observe(_ context.Context, s *session) (observed, error) {
	st := &containersState{containersKind: k}
	all := k.processes(s)
	ours := map[int]bool{}
	for _, p := range all {
		if p.shim {
			st.shims++
		}
		ours[p.pid] = p.shim || p.cgroup
	}
	parent := map[int]int{}
	for _, p := range all {
		parent[p.pid] = p.parent
	}
	// What a shim started is its container's.
	for _, p := range all {
		for at, steps := p.pid, 0; at > 1 && steps < 1000; at, steps = parent[at], steps+1 {
			if ours[at] {
				st.pids = append(st.pids, p.pid)
				break
			}
		}
	}
	// Not ourselves and what started us, wherever that may be.
	for at, steps := os.Getpid(), 0; at > 0 && steps < 1000; at, steps = parent[at], steps+1 {
		st.pids = slices.DeleteFunc(st.pids, func(pid int) bool { return pid == at || pid == 1 })
	}
	return st, nil
}

// processes reads /proc. A process that ends meanwhile is left out.
func (k containersKind) processes(s *session) []process {
	// A containerd inside a container sees other mounts than the host.
	var mounts []string
	for _, p := range []string{"/proc/1/ns/mnt", "/proc/self/ns/mnt"} {
		if ns, err := os.Readlink(s.path(p)); err == nil {
			mounts = append(mounts, ns)
		}
	}
	var out []process
	for _, name := range readNames(s, "/proc") {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		dir := s.path("/proc/" + name)
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue
		}
		// The name in parentheses may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		p := process{pid: pid}
		p.parent, _ = strconv.Atoi(fields[1])
		raw, _ := os.ReadFile(dir + "/cmdline")
		if argv := strings.Split(string(raw), "\x00"); strings.HasPrefix(filepath.Base(argv[0]), shim) {
			at := slices.Index(argv, "-namespace")
			own, _ := os.Readlink(dir + "/ns/mnt")
			p.shim = slices.Contains(mounts, own) && at >= 0 && at+1 < len(argv) && argv[at+1] == k.want.Namespace
		}
		groups, _ := os.ReadFile(dir + "/cgroup")
		for line := range strings.Lines(string(groups)) {
			_, path, _ := strings.Cut(line, ":")
			_, path, _ = strings.Cut(path, ":")
			for _, g := range k.want.Cgroups {
				// From the top: a kubelet inside a container has such a group too.
				p.cgroup = p.cgroup || strings.HasPrefix(strings.TrimSpace(path)+"/", "/"+g+"/")
			}
		}
		out = append(out, p)
	}
	return out
}

func (st *containersState) diff(*session) ([]spec.Change, error) {
	if len(st.pids) == 0 {
		return nil, nil
	}
	return []spec.Change{{Action: spec.Stop, Detail: fmt.Sprintf("all pods: %d containers, %d processes", st.shims, len(st.pids))}}, nil
}

// apply kills until there is nobody left: a process may have started another
// meanwhile.
func (st *containersState) apply(ctx context.Context, s *session) error {
	deadline := time.NewTimer(killWithin)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		for _, pid := range st.pids {
			if err := s.Kernel.Kill(pid); err != nil {
				return err
			}
		}
		o, err := st.observe(ctx, s)
		if err != nil {
			return err
		}
		if st.pids = o.(*containersState).pids; len(st.pids) == 0 {
			st.dropCgroups(s)
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return diag.New(diag.Unsupported, "stop all pods", "%d processes do not end, process %d among them", len(st.pids), st.pids[0]).
				WithHint("they wait for a disk or a network file system that does not answer: reboot the host, then run the same again")
		}
	}
}

// dropCgroups takes the groups away in hierarchies that systemd does not manage:
// freezer and cpuset of cgroup v1. Only empty ones can be removed, and those that
// stay are gone at the next boot.
func (st *containersState) dropCgroups(s *session) {
	for _, hierarchy := range readNames(s, "/sys/fs/cgroup") {
		for _, g := range st.want.Cgroups {
			var dirs []string
			_ = filepath.WalkDir(s.path(filepath.Join("/sys/fs/cgroup", hierarchy, g)), func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				_ = syscall.Rmdir(dir)
			}
		}
	}
}

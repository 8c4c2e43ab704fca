// Package resourcetest is a host in a temporary directory: the few files that
// the agent reads, and a Runner that acts like systemd, containerd, modprobe
// and swapoff on them. It never starts a program.
package resourcetest

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
)

// BootID is the boot id of a new host.
const BootID = "6d1f9f2c-0000-4000-8000-000000000001"

// Unit is a unit as the fake systemd sees it.
type Unit struct {
	Active, Sub string
	File        string // enabled, disabled ...
	NeedReload  bool
	Invocation  int
	Started     time.Duration // CLOCK_MONOTONIC
	fromFile    bool          // systemd read it, and knows it until it looks again
	// Fails makes the next starts fail.
	Fails bool
	Log   string // its journal
}

// Host is a fake host. Its fields may be set before it is used.
type Host struct {
	Root string
	// Commands answers programs that the host does not know by itself, by the
	// base name of argv[0]. It may block until ctx ends.
	Commands map[string]func(ctx context.Context, c resource.Cmd) (resource.Result, error)

	mu     sync.Mutex
	units  map[string]*Unit
	images map[string]string
	calls  [][]string
	boot   time.Time // when CLOCK_MONOTONIC was zero
}

var _ resource.Runner = (*Host)(nil)

// New makes a host below dir, which must be empty.
func New(dir string) (*Host, error) {
	h := &Host{
		Root: dir, Commands: map[string]func(context.Context, resource.Cmd) (resource.Result, error){},
		units: map[string]*Unit{}, images: map[string]string{}, boot: time.Now().Add(-time.Hour),
	}
	for path, content := range map[string]string{
		"/etc/os-release":                           "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"/etc/machine-id":                           "0123456789abcdef0123456789abcdef\n",
		"/etc/resolv.conf":                          "nameserver 10.0.0.53\nsearch example.org\n",
		"/etc/fstab":                                "UUID=1 / ext4 defaults 0 1\n",
		"/proc/sys/kernel/hostname":                 filepath.Base(dir) + "\n",
		"/proc/sys/kernel/osrelease":                "6.1.0-25-amd64\n",
		"/proc/sys/kernel/random/boot_id":           BootID + "\n",
		"/proc/sys/net/ipv4/ip_forward":             "0\n",
		"/proc/cpuinfo":                             "processor\t: 0\nmodel name\t: Fake CPU\nphysical id\t: 0\nprocessor\t: 1\nmodel name\t: Fake CPU\nphysical id\t: 0\n",
		"/proc/meminfo":                             "MemTotal:        8000000 kB\nMemAvailable:    6000000 kB\n",
		"/proc/modules":                             "nf_conntrack 200704 1 - Live 0x0\n",
		"/proc/filesystems":                         "nodev\tproc\n\text4\n",
		"/proc/swaps":                               "Filename\tType\tSize\tUsed\tPriority\n",
		"/proc/self/status":                         "Name:\tagent\nCapEff:\t000001ffffffffff\n",
		"/proc/net/route":                           "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\neth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
		"/proc/self/mountinfo":                      "1 0 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n",
		"/sys/fs/cgroup/cgroup.controllers":         "cpuset cpu io memory pids\n",
		"/usr/lib/systemd/libsystemd-shared-252.so": "",
		"/run/systemd/system/.keep":                 "",
		"/lib/modules/6.1.0-25-amd64/modules.dep":   "kernel/fs/overlayfs/overlay.ko:\nkernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko\n",
	} {
		if err := h.WriteFile(path, content); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// WriteFile writes a file of the host and its parents.
func (h *Host) WriteFile(path, content string) error {
	p := filepath.Join(h.Root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, []byte(content), 0o644)
}

// ReadFile gives a file of the host, "" when it is not there.
func (h *Host) ReadFile(path string) string {
	raw, err := os.ReadFile(filepath.Join(h.Root, path))
	if err != nil {
		return ""
	}
	return string(raw)
}

// Uptime is the host's CLOCK_MONOTONIC.
func (h *Host) Uptime() time.Duration { return time.Since(h.boot) }

// SetUnit makes or replaces a unit.
func (h *Host) SetUnit(name string, u Unit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.units[name] = &u
}

// Unit gives a copy of a unit.
func (h *Host) Unit(name string) Unit {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.units[name]; u != nil {
		return *u
	}
	return Unit{}
}

// Images gives a copy of containerd's images: name to digest.
func (h *Host) Images() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.images)
}

// Calls gives the programs run since the last call, each as one line.
func (h *Host) Calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, c := range h.calls {
		out = append(out, strings.Join(c, " "))
	}
	h.calls = nil
	return out
}

// Run implements resource.Runner.
func (h *Host) Run(ctx context.Context, c resource.Cmd) (resource.Result, error) {
	if ctx.Err() != nil {
		return resource.Result{}, fmt.Errorf("running %s: %w", c.Argv[0], context.Cause(ctx))
	}
	name := filepath.Base(c.Argv[0])
	h.mu.Lock()
	h.calls = append(h.calls, append([]string{name}, c.Argv[1:]...))
	own := h.Commands[name]
	h.mu.Unlock()
	if own != nil {
		return own(ctx, c)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch name {
	case "systemctl":
		return h.systemctl(c.Argv[1:])
	case "journalctl":
		if u := h.units[c.Argv[2]]; u != nil {
			return resource.Result{Stdout: u.Log}, nil
		}
		return resource.Result{}, nil
	case "ctr":
		return h.ctr(c)
	case "modprobe":
		return h.modprobe(c.Argv[len(c.Argv)-1])
	case "swapoff":
		return resource.Result{}, h.WriteFile("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	}
	return resource.Result{}, diag.New(diag.NotFound, "start "+name, "the fake host has no such program")
}

func (h *Host) systemctl(args []string) (resource.Result, error) {
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "-") })
	verb, names := args[0], args[1:]
	var out strings.Builder
	for i, n := range names {
		u := h.unit(n)
		if u == nil && verb != "show" {
			return resource.Result{Code: 5, Stderr: "Unit " + n + " not found."}, nil
		}
		switch verb {
		case "show":
			if i > 0 {
				out.WriteString("\n")
			}
			h.show(&out, n, u)
		case "is-enabled":
			fmt.Fprintln(&out, u.File)
			if u.File != "enabled" {
				return resource.Result{Code: 1, Stdout: out.String()}, nil
			}
		case "enable":
			u.File = "enabled"
		case "disable":
			u.File = "disabled"
		case "start", "restart":
			if u.Fails {
				u.Active, u.Sub = "failed", "failed"
				return resource.Result{Code: 1, Stderr: "Job for " + n + " failed."}, nil
			}
			if verb == "restart" || u.Active != "active" {
				u.Active, u.Sub, u.Started = "active", "running", h.Uptime()
				u.Invocation++
			}
		case "stop":
			u.Active, u.Sub = "inactive", "dead"
		}
	}
	if verb == "daemon-reload" {
		for name, u := range h.units {
			u.NeedReload = false
			if _, err := os.Stat(filepath.Join(h.Root, "/etc/systemd/system", name)); err != nil && u.fromFile && u.Active != "active" {
				delete(h.units, name)
			}
		}
	}
	return resource.Result{Stdout: out.String()}, nil
}

// unit finds a unit, also one whose file was written meanwhile.
func (h *Host) unit(name string) *Unit {
	if u := h.units[name]; u != nil {
		return u
	}
	if _, err := os.Stat(filepath.Join(h.Root, "/etc/systemd/system", name)); err == nil {
		h.units[name] = &Unit{Active: "inactive", Sub: "dead", File: "disabled", fromFile: true}
	}
	return h.units[name]
}

func (h *Host) show(out io.Writer, name string, u *Unit) {
	load, reload := "loaded", "no"
	if u == nil && strings.HasSuffix(name, ".slice") { // as systemd has it: a slice needs no file
		u = &Unit{Active: "inactive", Sub: "dead"}
	}
	if u == nil {
		load, u = "not-found", &Unit{Active: "inactive", Sub: "dead"}
	}
	if u.NeedReload {
		reload = "yes"
	}
	invocation := ""
	if u.Active == "active" {
		invocation = fmt.Sprintf("%032x", u.Invocation)
	}
	fmt.Fprintf(out, "Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nResult=success\nNeedDaemonReload=%s\nInvocationID=%s\nInactiveExitTimestampMonotonic=%d\n",
		name, load, u.Active, u.Sub, u.File, reload, invocation, u.Started.Microseconds())
}

func (h *Host) modprobe(name string) (resource.Result, error) {
	if !strings.Contains(h.ReadFile("/lib/modules/6.1.0-25-amd64/modules.dep"), "/"+name+".ko") {
		return resource.Result{Code: 1, Stderr: "modprobe: FATAL: Module " + name + " not found"}, nil
	}
	return resource.Result{}, h.WriteFile("/proc/modules", h.ReadFile("/proc/modules")+name+" 1 0 - Live 0x0\n")
}

// ctr knows "images ls" and "images import -" of OCI archives.
func (h *Host) ctr(c resource.Cmd) (resource.Result, error) {
	if u := h.units["containerd.service"]; u != nil && u.Active != "active" {
		return resource.Result{Code: 1, Stderr: "ctr: failed to dial containerd.sock"}, nil
	}
	if !slices.Contains(c.Argv, "import") {
		var out strings.Builder
		out.WriteString("REF TYPE DIGEST SIZE PLATFORMS LABELS\n")
		for _, name := range slices.Sorted(maps.Keys(h.images)) {
			fmt.Fprintf(&out, "%s application/vnd.oci.image.manifest.v1+json %s 1.0 MiB linux/amd64 -\n", name, h.images[name])
		}
		return resource.Result{Stdout: out.String()}, nil
	}
	tr := tar.NewReader(c.Stdin)
	for {
		th, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return resource.Result{}, nil
		}
		if err != nil {
			return resource.Result{Code: 1, Stderr: "ctr: " + err.Error()}, nil
		}
		if th.Name != "index.json" {
			continue
		}
		var index struct {
			Manifests []struct {
				Digest      string
				Annotations map[string]string
			}
		}
		if err := json.NewDecoder(tr).Decode(&index); err != nil {
			return resource.Result{Code: 1, Stderr: "ctr: " + err.Error()}, nil
		}
		for _, m := range index.Manifests {
			h.images[m.Annotations["io.containerd.image.name"]] = m.Digest
		}
	}
}

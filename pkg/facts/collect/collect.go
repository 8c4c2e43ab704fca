// Package collect fills in the facts of the host it runs on. It only reads, from
// /proc, /sys and /etc below a root directory, and is done in milliseconds. The
// only programs it starts are containerd and kubelet, for their versions. What cannot be read stays empty.
package collect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/resource/record"
)

// host reads below a root directory.
type host struct {
	root    string
	records record.Store
}

// Collect gives the facts of the host whose root directory is root, "/" in
// production. It fails only where nothing can be known at all.
func Collect(ctx context.Context, root string) (*facts.Host, error) {
	if root == "" {
		root = "/"
	}
	if fi, err := os.Stat(root); err != nil || !fi.IsDir() {
		return nil, diag.New(diag.Unsupported, "collect facts", "%s is no directory", root)
	}
	h := &host{root: root, records: record.Store{Root: root}}
	if !h.exists("/proc") {
		return nil, diag.New(diag.Unsupported, "collect facts", "there is no /proc").WithHint("kforge works on Linux hosts with /proc mounted")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("collecting facts: %w", context.Cause(ctx))
	}
	units := h.units()
	f := &facts.Host{
		Hostname:  h.line("/proc/sys/kernel/hostname"),
		MachineID: h.line("/etc/machine-id"),
		BootID:    h.line("/proc/sys/kernel/random/boot_id"),
		OS:        h.os(),
		Kernel:    h.kernel(),
		CPU:       parseCPU(h.text("/proc/cpuinfo"), h.text("/sys/devices/system/cpu/online")),
		Memory:    parseMemory(h.text("/proc/meminfo")),

		Interfaces:       h.interfaces(),
		DefaultInterface: parseDefaultRoute(h.text("/proc/net/route")),
		Resolver:         h.resolver(),
		Time:             h.time(units),
		Swap:             h.swap(),
		Paths:            h.paths(),
		Containerd:       h.containerd(units),
		Kubernetes:       h.kubernetes(units),
		Conflicts:        h.conflicts(units),
		Listening:        h.listening(),
	}
	h.versions(f)
	return f, nil
}

func (h *host) path(p string) string { return filepath.Join(h.root, p) }

func (h *host) live() bool { return h.root == "/" }

func (h *host) exists(p string) bool {
	_, err := os.Stat(h.path(p))
	return err == nil
}

// text gives a file's content, "" when it cannot be read.
func (h *host) text(p string) string {
	raw, err := os.ReadFile(h.path(p))
	if err != nil {
		return ""
	}
	return string(raw)
}

// line gives a file's content without white space around it.
func (h *host) line(p string) string { return strings.TrimSpace(h.text(p)) }

func arch() string { return runtime.GOARCH }

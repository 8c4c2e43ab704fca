// Package collect fills in the facts of the host it runs on. It only reads, from
// /proc, /sys and /etc below a root directory and the first and last bytes of
// block devices, and is done in milliseconds; name servers that do not answer
// and disks that are dying cost a second or two. The only programs it starts are
// containerd and kubelet, for their versions, and the time daemon's own client.
// What cannot be read stays empty.
package collect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

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
	start := time.Now()
	units := h.units()
	mounts := parseMountinfo(h.text("/proc/self/mountinfo"))
	cpuinfo := h.text("/proc/cpuinfo")
	f := &facts.Host{
		Hostname:  h.line("/proc/sys/kernel/hostname"),
		MachineID: h.line("/etc/machine-id"),
		BootID:    h.line("/proc/sys/kernel/random/boot_id"),
		Machine:   h.machine(),
		Virtual:   h.virtual(cpuinfo),
		OS:        h.os(),
		Kernel:    h.kernel(),
		CPU:       h.cpu(cpuinfo),
		Memory:    h.memory(),

		DefaultInterface: parseDefaultRoute(h.text("/proc/net/route")),
		DefaultRoutes:    defaultRoutes(h.text("/proc/net/route"), h.text("/proc/net/ipv6_route")),
		Resolver:         h.resolver(),
		Time:             h.time(units),
		Swap:             h.swap(),
		Paths:            h.paths(mounts),
		Containerd:       h.containerd(units),
		Kubernetes:       h.kubernetes(units),
		Conflicts:        h.conflicts(units),
		Leftovers:        h.leftovers(),
		Locate:           h.locate(units),
	}
	h.slow(ctx, f, units, mounts)
	// Whoever asked takes the clock as read halfway between question and answer.
	took := time.Since(start)
	f.Time.Unix, f.Time.TookSeconds = float64(start.UnixNano()+took.Nanoseconds()/2)/1e9, took.Seconds()
	return f, nil
}

// slow does side by side what waits for somebody: programs, servers, disks. Each
// has its own deadline and its own fields.
func (h *host) slow(ctx context.Context, f *facts.Host, u units, mounts []mount) {
	var wg sync.WaitGroup
	var answers []facts.DNSAnswer
	if h.live() {
		wg.Go(func() {
			answers = askServers(ctx, toAsk(f.Resolver), 53, questions(f.Hostname, f.Resolver.Search))
		})
	}
	var sources []facts.TimeSource
	wg.Go(func() { sources = h.timeSources(ctx, f.Time) })
	wg.Go(func() { f.Containerd.Version = h.version(f.Containerd.Binary) })
	wg.Go(func() { f.Kubernetes.KubeletVersion = h.version(h.find("kubelet")) })
	wg.Go(func() { f.Listening = h.listening() })
	wg.Go(func() { f.Firewall = h.firewall(u) })
	wg.Go(func() { f.Interfaces, f.IdleInterfaces = h.interfaces() })
	wg.Go(func() { f.Disks = h.disks(mounts) })
	wg.Go(func() {
		f.GPUs, f.NVSwitches = h.pci()
		f.NVIDIA = h.nvidia(f.Kernel)
	})
	wg.Wait()
	f.Resolver.Answers = answers
	f.Resolver.Stub = stub(f.Resolver.Servers, f.Listening)
	f.Time.Sources = sources
	h.swapOnDisks(&f.Swap, f.Disks, f.Kernel.CommandLine)
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

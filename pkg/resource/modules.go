package resource

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

type modulesKind struct{ want *spec.Modules }

type modulesState struct {
	want    *spec.Modules
	file    *fileState
	load    []string // not there yet, and to be tried
	missing []string // optional ones that the kernel does not have
}

// shows are the marks of modules whose function the kernel offers, built in or
// not. A monolithic kernel has no other way to tell.
var shows = map[string]string{
	"br_netfilter": "/proc/sys/net/bridge/bridge-nf-call-iptables",
	"nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_buckets",
	"ip_tables":    "/proc/net/ip_tables_names",
	"ip6_tables":   "/proc/net/ip6_tables_names",
	"ip_vs":        "/proc/net/ip_vs",
	"rbd":          "/sys/bus/rbd",
	"nbd":          "/sys/block/nbd0",
	"dm_mod":       "/sys/class/misc/device-mapper",
}

// configs are the kernel options of modules that are found in no other place
// when they are built in.
var configs = map[string]string{
	"overlay": "OVERLAY_FS", "br_netfilter": "BRIDGE_NETFILTER", "nf_conntrack": "NF_CONNTRACK", "vxlan": "VXLAN",
	"nf_tables": "NF_TABLES", "ip_tables": "IP_NF_IPTABLES", "ip_vs": "IP_VS", "ip_vs_rr": "IP_VS_RR",
	"ip_vs_wrr": "IP_VS_WRR", "ip_vs_sh": "IP_VS_SH", "wireguard": "WIREGUARD", "rbd": "BLK_DEV_RBD",
	"ceph": "CEPH_FS", "nbd": "BLK_DEV_NBD", "dm_crypt": "DM_CRYPT", "dm_thin_pool": "DM_THIN_PROVISIONING", "ipip": "NET_IPIP",
}

func (k modulesKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &modulesState{want: k.want}
	kernel := readKernel(s)
	keep := []string{}
	for _, name := range slices.Concat(k.want.Names, k.want.Optional) {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || name[0] == '-' {
			return nil, diag.New(diag.Invalid, "check modules", "%q is no module name", name)
		}
		optional := !slices.Contains(k.want.Names, name)
		there := kernel.has(s, name)
		if optional && !there && (s.records.Refused(s.bootID, "module "+name) || kernel.known && !kernel.loadable[unify(name)]) {
			st.missing = append(st.missing, name)
			continue
		}
		keep = append(keep, name)
		if !there {
			st.load = append(st.load, name)
		}
	}
	o, err := fileKind{&spec.File{Path: k.want.Path, Mode: 0o644, Content: modulesDropIn(keep)}}.observe(ctx, s)
	if err != nil {
		return nil, err
	}
	st.file = o.(*fileState)
	return st, nil
}

func (st *modulesState) diff(s *session) ([]spec.Change, error) {
	changes, err := st.file.diff(s)
	if err != nil {
		return nil, err
	}
	if len(st.load) > 0 {
		changes = append(changes, spec.Change{Action: spec.Load, Detail: strings.Join(st.load, " ")})
	}
	return changes, nil
}

func (st *modulesState) apply(ctx context.Context, s *session) error {
	refused := false
	for _, name := range st.load {
		_, err := run(ctx, s.Runner, "modprobe", "--", name)
		if err == nil {
			continue
		}
		if ctx.Err() != nil || slices.Contains(st.want.Names, name) {
			return diag.Wrap(diag.KindOf(err), "load kernel module "+name, err).
				WithHint("install the package with this kernel's extra modules, or boot a kernel that has %s", name)
		}
		if err := s.records.Refuse(s.bootID, "module "+name); err != nil {
			return err
		}
		refused = true
	}
	if refused { // the drop-in must not name what cannot be loaded
		o, err := modulesKind{st.want}.observe(ctx, s)
		if err != nil {
			return err
		}
		st.file, st.missing = o.(*modulesState).file, o.(*modulesState).missing
	}
	for _, name := range st.missing {
		s.warn("optional kernel module %s is not there", name)
	}
	changes, err := st.file.diff(s)
	if err != nil || len(changes) == 0 {
		return err
	}
	return st.file.apply(ctx, s)
}

func (st *modulesState) adopt(s *session) error { return st.file.adopt(s) }

func modulesDropIn(names []string) []byte {
	return []byte(spec.Header + "\n" + strings.Join(append(names, ""), "\n"))
}

// kernel is what the running kernel has and could load.
type kernel struct {
	loaded, builtin, loadable map[string]bool
	filesystems               string
	known                     bool // loadable is complete
	config                    map[string]bool
}

func readKernel(s *session) *kernel {
	k := &kernel{loaded: map[string]bool{}, builtin: map[string]bool{}, loadable: map[string]bool{}}
	each := func(p string, set map[string]bool, name func(line string) string) bool {
		raw, err := os.ReadFile(s.path(p))
		for line := range strings.Lines(string(raw)) {
			set[unify(name(line))] = true
		}
		return err == nil
	}
	first := func(line string) string { f, _, _ := strings.Cut(line, " "); return f }
	file := func(line string) string {
		f, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		f, _, _ = strings.Cut(path.Base(f), ".ko")
		return f
	}
	each("/proc/modules", k.loaded, first)
	raw, _ := os.ReadFile(s.path("/proc/sys/kernel/osrelease"))
	dir := filepath.Join("/lib/modules", strings.TrimSpace(string(raw)))
	each(dir+"/modules.builtin", k.builtin, file)
	// modprobe knows aliases too, so only their absence is certain.
	k.known = each(dir+"/modules.dep", k.loadable, file)
	each(dir+"/modules.alias", k.loadable, func(line string) string {
		if f := strings.Fields(line); len(f) == 3 {
			return f[1]
		}
		return ""
	})
	if _, err := os.Stat(s.path(dir)); errors.Is(err, fs.ErrNotExist) {
		k.known = true // nothing can be loaded at all
	}
	fsRaw, _ := os.ReadFile(s.path("/proc/filesystems"))
	k.filesystems = string(fsRaw)
	k.config = readConfig(s, strings.TrimSpace(string(raw)))
	return k
}

// readConfig gives the kernel options that are built in, from where the kernel
// or the distribution tells them.
func readConfig(s *session, release string) map[string]bool {
	built := map[string]bool{}
	raw, err := os.ReadFile(s.path("/proc/config.gz"))
	if err == nil {
		var zr *gzip.Reader
		if zr, err = gzip.NewReader(bytes.NewReader(raw)); err == nil {
			raw, err = io.ReadAll(io.LimitReader(zr, 4<<20))
		}
	} else {
		raw, err = os.ReadFile(s.path("/boot/config-" + release))
	}
	if err != nil {
		return built
	}
	sc := bufio.NewScanner(bytes.NewReader(raw))
	for sc.Scan() {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(sc.Text(), "CONFIG_"), "=y"); ok {
			built[name] = true
		}
	}
	return built
}

// has reports whether the module's function is there.
func (k *kernel) has(s *session, name string) bool {
	n := unify(name)
	if k.loaded[n] || k.builtin[n] || s.exists("/sys/module/"+n) || k.config[configs[n]] {
		return true
	}
	if p := shows[n]; p != "" && s.exists(p) {
		return true
	}
	for line := range strings.Lines(k.filesystems) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == n {
			return true
		}
	}
	return false
}

func unify(name string) string { return strings.ReplaceAll(name, "-", "_") }

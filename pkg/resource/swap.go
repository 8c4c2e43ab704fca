package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// disabledMark is put before a swap line of fstab.
const disabledMark = "# disabled by kforge: "

const zramConfig = "/etc/systemd/zram-generator.conf"

// swapServices make swap on zram at boot.
var swapServices = []string{"zramswap.service", "zram-config.service", "dphys-swapfile.service"}

type swapKind struct{ want *spec.Swap }

type swapState struct {
	want      *spec.Swap
	active    []string
	used      uint64 // bytes
	available uint64 // bytes of memory
	fstab     []byte // as it is
	noSwap    []byte // as it should be
	units     []string
	zram      bool // the generator makes zram swap at boot
}

func (k swapKind) observe(_ context.Context, s *session) (observed, error) {
	st := &swapState{want: k.want}
	if k.want.Restore {
		return restoreSwap(s)
	}
	if !k.want.Off {
		return st, nil
	}
	raw, err := os.ReadFile(s.path("/proc/swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // no such file: a kernel without swap
		return nil, err
	}
	for i, line := range strings.Split(string(raw), "\n") {
		f := strings.Fields(line)
		if i == 0 || len(f) < 4 {
			continue
		}
		used, err := strconv.ParseUint(f[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading /proc/swaps: %w", err)
		}
		st.active = append(st.active, unescape(f[0]))
		st.used += used << 10
	}
	if st.used > 0 {
		if st.available, err = memAvailable(s); err != nil {
			return nil, err
		}
	}
	if st.fstab, err = os.ReadFile(s.path("/etc/fstab")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	st.noSwap = withoutSwap(st.fstab)
	st.units = swapUnits(s)
	st.zram = zramAtBoot(s)
	return st, nil
}

func (st *swapState) diff(*session) ([]spec.Change, error) {
	var changes []spec.Change
	if len(st.active) > 0 {
		if st.used > st.available {
			return nil, diag.New(diag.Unsupported, "switch swap off", "%d MiB of swap are in use and only %d MiB of memory are available", st.used>>20, st.available>>20).
				WithHint("stop what uses so much memory on this host, or reboot it without swap, then apply again")
		}
		changes = append(changes, spec.Change{Action: spec.Stop, Detail: "swapoff " + strings.Join(st.active, " ")})
	}
	if string(st.fstab) != string(st.noSwap) {
		changes = append(changes, spec.Change{Action: spec.Update, Detail: "/etc/fstab", Diff: unified("/etc/fstab", st.fstab, st.noSwap)})
	}
	if len(st.units) > 0 {
		changes = append(changes, spec.Change{Action: spec.Update, Detail: "mask " + strings.Join(st.units, " ")})
	}
	if st.zram {
		changes = append(changes, spec.Change{Action: spec.Update, Detail: zramConfig + ": no zram"})
	}
	return changes, nil
}

// apply makes the next boot free of swap first, so that a crash after swapoff
// does not bring it back.
func (st *swapState) apply(ctx context.Context, s *session) error {
	if string(st.fstab) != string(st.noSwap) {
		if err := replaceKept(ctx, s, "/etc/fstab", st.noSwap); err != nil {
			return err
		}
	}
	if st.zram {
		none := []byte(spec.Header + "\n")
		if err := s.records.Intend(record.Path{Path: zramConfig, Digest: digestOf(none)}); err != nil {
			return err
		}
		if err := replaceKept(ctx, s, zramConfig, none); err != nil {
			return err
		}
	}
	for _, u := range st.units {
		p := "/etc/systemd/system/" + u
		if err := s.mkdirs(p); err != nil {
			return err
		}
		if fi, err := os.Lstat(s.path(p)); err == nil && fi.Mode().IsRegular() {
			if err := keepOriginal(s.path(p)); err != nil {
				return err
			}
		}
		// Recorded, since a mask of somebody else looks the same.
		if err := s.records.Intend(record.Path{Path: p, Target: "/dev/null"}); err != nil {
			return err
		}
		if err := linkAtomic(s.Later, s.path(p), "/dev/null"); err != nil {
			return fmt.Errorf("masking %s: %w", u, err)
		}
	}
	for _, a := range st.active {
		if _, err := run(ctx, s.Runner, "swapoff", "--", a); err != nil {
			return err
		}
	}
	return nil
}

// replaceKept replaces a file that is not ours, with its mode and owner, and
// keeps what was there.
func replaceKept(ctx context.Context, s *session, path string, content []byte) error {
	mode, uid, gid := fs.FileMode(0o644), 0, 0
	real := s.path(path)
	if fi, err := os.Stat(real); err == nil {
		mode = fi.Mode().Perm()
		uid, gid = owner(fi)
		if err := keepOriginal(real); err != nil {
			return err
		}
	} else if err := s.mkdirs(path); err != nil {
		return err
	}
	return writeAtomic(ctx, nil, real, mode, uid, gid, strings.NewReader(string(content)), digestOf(content), func() error { return nil })
}

// withoutSwap comments the swap lines of an fstab out and leaves every other
// byte as it is.
func withoutSwap(fstab []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(fstab)) {
		f := strings.Fields(line)
		if len(f) >= 3 && !strings.HasPrefix(f[0], "#") && f[2] == "swap" {
			out.WriteString(disabledMark)
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}

// swapUnits gives units that bring swap at boot and are not masked. Units made
// from fstab go with its lines.
func swapUnits(s *session) []string {
	var units []string
	for _, dir := range []string{
		"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/run/systemd/generator.late",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
	} {
		entries, err := os.ReadDir(s.path(dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := e.Name()
			if e.IsDir() || strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".swap") && !slices.Contains(swapServices, name) || slices.Contains(units, name) {
				continue
			}
			if raw, err := os.ReadFile(s.path(filepath.Join(dir, name))); err == nil &&
				(strings.Contains(string(raw), "SourcePath=/etc/fstab") || strings.HasPrefix(dir, "/run/systemd/gen") && strings.Contains(string(raw), "zram-generator")) {
				continue
			}
			if target, err := os.Readlink(s.path("/etc/systemd/system/" + name)); err == nil && target == "/dev/null" {
				continue
			}
			units = append(units, name)
		}
	}
	return units
}

// zramAtBoot tells whether zram-generator is installed and told to make swap.
func zramAtBoot(s *session) bool {
	installed := false
	for _, p := range []string{"/usr/lib/systemd/system-generators/zram-generator", "/lib/systemd/system-generators/zram-generator"} {
		installed = installed || s.exists(p)
	}
	if !installed {
		return false
	}
	for _, p := range []string{zramConfig, "/run/systemd/zram-generator.conf", "/usr/local/lib/systemd/zram-generator.conf", "/usr/lib/systemd/zram-generator.conf"} {
		raw, err := os.ReadFile(s.path(p))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) { // the first file found is the one read
			if strings.HasPrefix(strings.TrimSpace(line), "[zram") {
				return true
			}
		}
		return false
	}
	return false
}

func memAvailable(s *session) (uint64, error) {
	raw, err := os.ReadFile(s.path("/proc/meminfo"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kib, err := strconv.ParseUint(strings.Fields(rest + " 0")[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, diag.New(diag.Unsupported, "read /proc/meminfo", "no MemAvailable")
}

// unescape undoes the octal escapes of /proc files: \040 is a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// margin at both ends of a disk and at the start of each partition is what holds
// partition tables, superblocks, LVM, RAID and Ceph labels.
const margin = 8 << 20

// cephLabels are further places of BlueStore's label, in bytes.
var cephLabels = []int64{1 << 30, 10 << 30, 100 << 30, 1000 << 30}

type wipedKind struct{ want *spec.Wiped }

type wipedState struct {
	want   *spec.Wiped
	device string // /dev/sdb
	size   int64
	ranges [][2]int64 // from, length
	dirty  bool
	parts  []string
}

func (k wipedKind) observe(ctx context.Context, s *session) (observed, error) {
	st := &wipedState{want: k.want}
	if !strings.HasPrefix(k.want.Device, "/dev/") {
		return nil, diag.New(diag.Invalid, "check disk", "%s is not below /dev", k.want.Device)
	}
	real, err := filepath.EvalSymlinks(s.path(k.want.Device))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.NotFound, "find disk "+k.want.Device, "the host has no such disk").
			WithHint("look at the host's disks: kforge facts, or ls -l /dev/disk/by-id")
	}
	if err != nil {
		return nil, err
	}
	name := filepath.Base(real)
	st.device = "/dev/" + name
	sys := filepath.Join("/sys/class/block", name)
	if !s.exists(sys) || s.exists(filepath.Join(sys, "partition")) {
		return nil, diag.New(diag.Invalid, "check disk "+k.want.Device, "%s is no whole disk", st.device).WithHint("name the disk itself, not a partition of it")
	}
	if err := st.inUse(s, sys, name); err != nil {
		return nil, err
	}
	return st, st.look(ctx, s, sys)
}

// inUse refuses a disk of which anything is mounted, swapped to, or held by
// another device (LVM, RAID, multipath).
func (st *wipedState) inUse(s *session, sys, name string) error {
	refuse := func(format string, args ...any) error {
		return diag.New(diag.Foreign, "wipe "+st.want.Device, format, args...).
			WithHint("a disk in use is never wiped: unmount it or take apart what is on it (umount, swapoff, vgremove, mdadm --stop), and take it out of /etc/fstab; then run the same again")
	}
	all := []string{name}
	for _, n := range readNames(s, sys) {
		if s.exists(filepath.Join(sys, n, "partition")) {
			st.parts = append(st.parts, n)
		}
	}
	all = append(all, st.parts...)
	numbers := map[string]string{} // major:minor to name
	for _, n := range all {
		dir := filepath.Join("/sys/class/block", n)
		if raw, err := os.ReadFile(s.path(filepath.Join(dir, "dev"))); err == nil {
			numbers[strings.TrimSpace(string(raw))] = n
		}
		if held := readNames(s, filepath.Join(dir, "holders")); len(held) > 0 {
			return refuse("%s is held by %s", n, strings.Join(held, ", "))
		}
	}
	raw, err := os.ReadFile(s.path("/proc/self/mountinfo"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		source := ""
		if i := slices.Index(f, "-"); i > 0 && i+2 < len(f) {
			source = strings.TrimPrefix(f[i+2], "/dev/") // btrfs has a number of its own
		}
		if n := numbers[f[2]]; n != "" || slices.Contains(all, source) {
			return refuse("%s is mounted on %s", nonEmpty(n, source), unescape(f[4]))
		}
	}
	raw, err = os.ReadFile(s.path("/proc/swaps"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 0 && slices.Contains(all, strings.TrimPrefix(unescape(f[0]), "/dev/")) {
			return refuse("%s is swap", f[0])
		}
	}
	return nil
}

func nonEmpty(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// look reads the places that matter.
func (st *wipedState) look(ctx context.Context, s *session, sys string) error {
	f, err := os.Open(s.path(st.device))
	if err != nil {
		return err
	}
	defer f.Close()
	if st.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	starts := append([]int64{0, st.size - margin}, cephLabels...)
	for _, p := range st.parts {
		raw, err := os.ReadFile(s.path(filepath.Join(sys, p, "start")))
		if err != nil {
			return err
		}
		sector, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
		if err != nil {
			return fmt.Errorf("reading start of %s: %w", p, err)
		}
		starts = append(starts, sector*512)
	}
	for _, from := range starts {
		from = max(from, 0)
		if length := min(margin, st.size-from); length > 0 {
			st.ranges = append(st.ranges, [2]int64{from, length})
		}
	}
	zero := make([]byte, 1<<20)
	buf := make([]byte, len(zero))
	for _, r := range st.ranges {
		for at := r[0]; at < r[0]+r[1] && !st.dirty; at += int64(len(buf)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			n, err := f.ReadAt(buf[:min(int64(len(buf)), r[0]+r[1]-at)], at)
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			st.dirty = !bytes.Equal(buf[:n], zero[:n])
		}
	}
	return nil
}

func (st *wipedState) diff(*session) ([]spec.Change, error) {
	if !st.dirty && len(st.parts) == 0 {
		return nil, nil
	}
	detail := fmt.Sprintf("everything on %s (%s, %d GB)", st.want.Device, st.device, st.size/1e9)
	if len(st.parts) > 0 {
		detail += ", with " + strings.Join(st.parts, " ")
	}
	return []spec.Change{{Action: spec.Delete, Detail: detail}}, nil
}

// apply writes zeros to what tells of data. The disk is opened so that the kernel
// refuses one that came into use meanwhile.
func (st *wipedState) apply(ctx context.Context, s *session) error {
	f, err := os.OpenFile(s.path(st.device), os.O_WRONLY|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	zero := make([]byte, 1<<20)
	for i := len(st.ranges) - 1; i >= 0; i-- { // the table last, so that a second try finds the partitions
		for at, r := st.ranges[i][0], st.ranges[i]; at < r[0]+r[1]; at += int64(len(zero)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := f.WriteAt(zero[:min(int64(len(zero)), r[0]+r[1]-at)], at); err != nil {
				return err
			}
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if len(st.parts) > 0 && s.Root == "/" {
		if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0); err != nil {
			return fmt.Errorf("having the kernel read the partition table of %s again: %w", st.device, err)
		}
	}
	return nil
}

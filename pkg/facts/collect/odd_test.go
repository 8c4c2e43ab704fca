package collect_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kforge.dev/kforge/pkg/facts/collect"
)

// Whatever single file is missing, empty, garbage or a directory, the rest is
// still told.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(p string) error { return os.WriteFile(p, nil, 0o644) },
		"garbage": func(p string) error {
			return os.WriteFile(p, []byte("\x00\xff[-1 : =,\n\n999999999999999999999\n\t\xfe"), 0o644)
		},
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hadoop(t)
			s.pci("0000:34:00.0", "10de", "1db8", "030200", "0", "nvidia")
			s.write(map[string]string{"/sys/class/net/eth0/flags": "0x1003\n", "/sys/class/net/eth0/mtu": "9000\n", "/sys/module/nvidia/version": "580.65.06\n"})
			err := filepath.WalkDir(s.Root, func(p string, d fs.DirEntry, err error) error {
				rel := strings.TrimPrefix(p, s.Root)
				if err != nil || d.IsDir() || strings.HasPrefix(rel, "/dev/") || strings.Contains(rel, "/block/sd") && !strings.Contains(rel, "/block/sda/") {
					return err
				}
				if d.Type()&fs.ModeSymlink != 0 {
					return nil
				}
				if name == "directory" {
					if err := os.Remove(p); err != nil {
						return err
					}
				}
				return spoil(p)
			})
			if err != nil {
				t.Fatal(err)
			}
			f, err := collect.Collect(t.Context(), s.Root)
			if err != nil || len(f.Disks) < 23 {
				t.Errorf("Collect = %d disks, %v", len(f.Disks), err)
			}
		})
	}
}

// Devices that cannot be read tell why, and hold up nobody.
func TestDisksThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"sda", "sdb", "sdc", "sdd", "dm-0", "rbd0", "sr0", "zram0", "loop0"} {
		s.disk(name, "bus/"+name, 1<<20, nil)
	}
	for _, gone := range []string{"sda", "sdb"} {
		if err := os.Remove(filepath.Join(s.Root, "dev", gone)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(s.Root, "dev/sdb"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(map[string]string{
		"/dev/sdc":                     "short", // smaller than the kernel says
		"/sys/block/sdd/device/state":  "offline\n",
		"/sys/block/dm-0/dm/suspended": "1\n", "/sys/block/dm-0/dm/uuid": "LVM-abc\n", "/sys/block/dm-0/dm/name": "vg-root\n",
	})
	want := map[string]string{
		"sda": "disk: no device node", "sdb": "disk: illegal seek", "sdc": "disk: eof", "sdd": "disk: the kernel says offline",
		"dm-0": "lvm: suspended", "rbd0": "rbd: a network volume is not read",
	}
	f := s.facts()
	if len(f.Disks) != len(want) {
		t.Errorf("%d disks, want %d", len(f.Disks), len(want))
	}
	for _, d := range f.Disks {
		if got := d.Kind + ": " + d.Unread; got != want[d.Name] {
			t.Errorf("%s is %q, want %q", d.Name, got, want[d.Name])
		}
		if d.Name == "dm-0" && d.Path != "/dev/mapper/vg-root" {
			t.Errorf("dm-0 is at %s", d.Path)
		}
	}
}

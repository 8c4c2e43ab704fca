package collect

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
)

const testUUID = "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"

// blank makes a device of 16 MiB with some text at some offsets, negative ones
// from its end.
func blank(pieces map[int64]string) (*image, *bytes.Reader) {
	raw := make([]byte, 16<<20)
	for at, text := range pieces {
		if at < 0 {
			at += int64(len(raw))
		}
		copy(raw[at:], text)
	}
	tail := int64(len(raw)) - tailSize
	return &image{head: raw[:headSize], tail: raw[tail:], tailAt: tail, size: int64(len(raw))}, bytes.NewReader(raw)
}

func u32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

// The layouts were compared with blkid on what the tools of each format write.
func TestSignatures(t *testing.T) {
	t.Parallel()
	const dashed = "01234567-89ab-cdef-0123-456789abcdef"
	ext := func(compat, incompat, ro uint32) map[int64]string {
		return map[int64]string{1024 + 56: "\x53\xef", 1024 + 0x5c: u32(compat) + u32(incompat) + u32(ro), 1024 + 104: testUUID, 1024 + 120: "data"}
	}
	lvm := "LABELONE" + strings.Repeat("\x00", 12) + u32(32) + "LVM2 001" + "abcdef0123456789ABCDEF0123456789"
	md := func(major uint32) string {
		return mdMagic + u32(major) + strings.Repeat("\x00", 8) + testUUID + "node1:0"
	}
	zfs := "\x01\x01\x00\x00" + be(0, 1) + nv("name", 9, be(4)+"tank") + nv("pool_guid", 8, be(0, 77)) + be(0, 0)
	tests := map[string]struct {
		pieces map[int64]string
		want   []facts.Signature
	}{
		"empty":       {nil, nil},
		"ext2":        {ext(0x38, 0x2, 0x3), []facts.Signature{{Type: "ext2", UUID: dashed, Label: "data"}}},
		"ext3":        {ext(0x3c, 0x6, 0x3), []facts.Signature{{Type: "ext3", UUID: dashed, Label: "data"}}},
		"ext4":        {ext(0x3c, 0x2c2, 0x46b), []facts.Signature{{Type: "ext4", UUID: dashed, Label: "data"}}},
		"journal":     {ext(0, 0x8, 0), []facts.Signature{{Type: "jbd", UUID: dashed, Label: "data"}}},
		"xfs":         {map[int64]string{0: "XFSB", 32: testUUID}, []facts.Signature{{Type: "xfs", UUID: dashed}}},
		"btrfs":       {map[int64]string{65536 + 64: "_BHRfS_M", 65536 + 32: testUUID, 65536 + 0x12b: "b"}, []facts.Signature{{Type: "btrfs", UUID: dashed, Label: "b"}}},
		"fat32":       {map[int64]string{82: "FAT32   ", 67: "\x78\x56\x34\x12NO NAME    ", 510: "\x55\xaa"}, []facts.Signature{{Type: "vfat", UUID: "1234-5678"}}},
		"swap":        {map[int64]string{4096 - 10: "SWAPSPACE2", 1024 + 12: testUUID, 1024 + 28: "sw"}, []facts.Signature{{Type: "swap", UUID: dashed, Label: "sw"}}},
		"swap on 64k": {map[int64]string{65536 - 10: "SWAPSPACE2"}, []facts.Signature{{Type: "swap"}}},
		"lvm":         {map[int64]string{512: lvm}, []facts.Signature{{Type: "LVM2_member", UUID: "abcdef-0123-4567-89AB-CDEF-0123-456789"}}},
		"md 1.2":      {map[int64]string{4096: md(1)}, []facts.Signature{{Type: "linux_raid_member", UUID: dashed, Label: "node1:0"}}},
		"md 1.0":      {map[int64]string{-8192: md(1)}, []facts.Signature{{Type: "linux_raid_member", UUID: dashed, Label: "node1:0"}}},
		"md 0.90": {map[int64]string{-65536: mdMagic + u32(0) + u32(90), -65536 + 20: "\x67\x45\x23\x01", -65536 + 52: "\xef\xcd\xab\x89\x67\x45\x23\x01\xef\xcd\xab\x89"},
			[]facts.Signature{{Type: "linux_raid_member", UUID: dashed}}},
		"md of no version": {map[int64]string{4096: md(7)}, nil},
		"luks":             {map[int64]string{0: "LUKS\xba\xbe\x00\x02", 24: "vault", 168: dashed}, []facts.Signature{{Type: "crypto_LUKS", UUID: dashed, Label: "vault"}}},
		"ceph":             {map[int64]string{0: "bluestore block device\n" + dashed + "\n"}, []facts.Signature{{Type: "ceph_bluestore", UUID: dashed}}},
		"zfs":              {map[int64]string{16 << 10: zfs}, []facts.Signature{{Type: "zfs_member", UUID: "77", Label: "tank"}}},
		"two":              {map[int64]string{0: "XFSB", 4096 - 10: "SWAPSPACE2"}, []facts.Signature{{Type: "swap"}, {Type: "xfs"}}},
	}
	for name, tt := range tests {
		m, _ := blank(tt.pieces)
		if d := cmp.Diff(tt.want, signatures(m)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func be(words ...uint32) string {
	var b []byte
	for _, w := range words {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return string(b)
}

// nv is a pair of XDR's list of names and values.
func nv(name string, kind uint32, value string) string {
	padded := name + strings.Repeat("\x00", (4-len(name)%4)%4)
	body := be(uint32(len(name))) + padded + be(kind, 1) + value
	return be(uint32(len(body)+8), 64) + body
}

func TestPartitionTables(t *testing.T) {
	t.Parallel()
	slot := func(boot, kind byte, start uint32) string {
		return string([]byte{boot, 0, 0, 0, kind, 0, 0, 0}) + u32(start) + u32(100)
	}
	dos := map[int64]string{
		440: u32(0xc801bc41), 446: slot(0x80, 0x83, 1) + slot(0, 0x5, 1000), 510: "\x55\xaa",
		1000*512 + 446: slot(0, 0x8e, 1) + slot(0, 0x5, 200), 1000*512 + 510: "\x55\xaa",
		1200*512 + 446: slot(0, 0xfd, 1), 1200*512 + 510: "\x55\xaa",
	}
	loop := map[int64]string{446: slot(0, 0x5, 1000), 510: "\x55\xaa", 1000*512 + 446: slot(0, 0x83, 1) + slot(0, 0x5, 0), 1000*512 + 510: "\x55\xaa"}
	tests := map[string]struct {
		pieces map[int64]string
		kind   string
		want   map[int]entry
	}{
		"none": {nil, "", nil},
		"dos": {dos, "dos", map[int]entry{1: {kind: "0x83", uuid: "c801bc41-01"}, 2: {kind: "0x5", uuid: "c801bc41-02"},
			5: {kind: "0x8e", uuid: "c801bc41-05"}, 6: {kind: "0xfd", uuid: "c801bc41-06"}}},
		"chain ends":              {loop, "dos", map[int]entry{1: {kind: "0x5", uuid: "00000000-01"}, 5: {kind: "0x83", uuid: "00000000-05"}}},
		"boot sector of fat":      {map[int64]string{82: "FAT32   ", 510: "\x55\xaa", 446: slot(0, 0x83, 1)}, "", nil},
		"no partition":            {map[int64]string{510: "\x55\xaa"}, "", nil},
		"code where slots are":    {map[int64]string{446: "\x33\xc0\xfa", 510: "\x55\xaa"}, "", nil},
		"gpt that points nowhere": {map[int64]string{512: "EFI PART" + strings.Repeat("\xff", 84)}, "", nil},
	}
	for name, tt := range tests {
		m, r := blank(tt.pieces)
		kind, got := readTable(r, m)
		if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(entry{})); d != "" || kind != tt.kind {
			t.Errorf("%s: %q, want %q (-want +got):\n%s", name, kind, tt.kind, d)
		}
	}
}

// FuzzDevice: whatever lies on a disk, looking at it does not panic.
func FuzzDevice(f *testing.F) {
	f.Add([]byte("XFSB"), uint16(0))
	f.Add([]byte("EFI PART"), uint16(512))
	f.Add([]byte("\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x20\x00\x00\x00\x20\x00\x00\x00\x09pool_guid"), uint16(16<<10))
	f.Add([]byte("LABELONE\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff"), uint16(512))
	f.Fuzz(func(t *testing.T, piece []byte, at uint16) {
		m, r := blank(map[int64]string{int64(at): string(piece), 510: "\x55\xaa"})
		signatures(m)
		readTable(r, m)
		signatures(&image{head: piece, size: int64(len(piece))})
	})
}

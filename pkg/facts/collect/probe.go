package collect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

// image is what was read of a device: its beginning, and its end from offset
// tailAt on. Magics are looked up by absolute offset.
type image struct {
	head, tail []byte
	tailAt     int64
	size       int64
}

// headSize reaches btrfs's super block at 64 KiB; tailSize md's old one, which
// lies 64 to 128 KiB before the end.
const headSize, tailSize = 68 << 10, 128 << 10

// at gives n bytes from an offset, zeros where nothing was read.
func (m *image) at(offset int64, n int) []byte {
	out := make([]byte, n)
	if offset < 0 {
		return out
	}
	if offset < int64(len(m.head)) {
		copy(out, m.head[offset:])
		return out
	}
	if from := offset - m.tailAt; from >= 0 && from < int64(len(m.tail)) {
		copy(out, m.tail[from:])
	}
	return out
}

func (m *image) has(offset int64, magic string) bool {
	return string(m.at(offset, len(magic))) == magic
}

func (m *image) le32(offset int64) uint32 { return binary.LittleEndian.Uint32(m.at(offset, 4)) }

func (m *image) text(offset int64, n int) string {
	s, _, _ := bytes.Cut(m.at(offset, n), []byte{0})
	return strings.ToValidUTF8(strings.TrimSpace(string(s)), "?")
}

func (m *image) uuid(offset int64) string { return uuidOf(m.at(offset, 16)) }

// uuidOf writes 16 bytes as a UUID, "" when all are zero.
func uuidOf(b []byte) string {
	if bytes.Count(b, []byte{0}) == len(b) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// signatures finds every file system and set member on a device. Several are
// told where an old one was not wiped.
func signatures(m *image) []facts.Signature {
	var out []facts.Signature
	add := func(kind, uuid, label string) {
		out = append(out, facts.Signature{Type: kind, UUID: uuid, Label: label})
	}

	for sector := int64(0); sector < 4; sector++ {
		if at := sector * 512; m.has(at, "LABELONE") && m.has(at+24, "LVM2 001") {
			id := m.text(at+int64(m.le32(at+20)), 32)
			if len(id) == 32 { // as lvm writes it: 6-4-4-4-4-4-6
				id = strings.Join([]string{id[:6], id[6:10], id[10:14], id[14:18], id[18:22], id[22:26], id[26:]}, "-")
			}
			add("LVM2_member", id, "")
			break
		}
	}
	if uuid, name, ok := mdMember(m); ok {
		add("linux_raid_member", uuid, name)
	}
	if m.has(m.size-1024, "Intel Raid ISM Cfg Sig. ") {
		add("isw_raid_member", "", "")
	}
	if m.has(m.size-512, "\xde\x11\xde\x11") {
		add("ddf_raid_member", "", "")
	}
	if m.has(0, "LUKS\xba\xbe") {
		label := ""
		if m.at(6, 2)[1] == 2 {
			label = m.text(24, 48)
		}
		add("crypto_LUKS", m.text(168, 40), label)
	}
	if m.has(0, "bluestore block device\n") {
		add("ceph_bluestore", m.text(23, 36), "")
	}
	if m.has(4096+24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81") {
		add("bcache", m.uuid(4096+40), "")
	}
	if uuid, name, ok := zfsMember(m); ok {
		add("zfs_member", uuid, name)
	}
	for _, page := range []int64{4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		if m.has(page-10, "SWAPSPACE2") || m.has(page-10, "SWAP-SPACE") {
			add("swap", m.uuid(1024+12), m.text(1024+28, 16))
			break
		}
		if m.has(page-10, "S1SUSPEND") {
			add("swsuspend", m.uuid(1024+12), m.text(1024+28, 16))
			break
		}
	}
	return append(out, fileSystems(m)...)
}

func fileSystems(m *image) []facts.Signature {
	var out []facts.Signature
	if m.has(1024+56, "\x53\xef") {
		out = append(out, facts.Signature{Type: extKind(m), UUID: m.uuid(1024 + 104), Label: m.text(1024+120, 16)})
	}
	if m.has(0, "XFSB") {
		out = append(out, facts.Signature{Type: "xfs", UUID: m.uuid(32), Label: m.text(108, 12)})
	}
	if m.has(65536+64, "_BHRfS_M") {
		out = append(out, facts.Signature{Type: "btrfs", UUID: m.uuid(65536 + 32), Label: m.text(65536+0x12b, 256)})
	}
	if m.has(3, "NTFS    ") {
		out = append(out, facts.Signature{Type: "ntfs"})
	}
	if m.has(3, "EXFAT   ") {
		out = append(out, facts.Signature{Type: "exfat"})
	}
	if m.has(510, "\x55\xaa") {
		id, label := int64(0), int64(0)
		switch {
		case m.has(82, "FAT32   "):
			id, label = 67, 71
		case m.has(54, "FAT16   "), m.has(54, "FAT12   "):
			id, label = 39, 43
		}
		if id > 0 {
			serial := m.le32(id)
			s := facts.Signature{Type: "vfat", UUID: fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff), Label: m.text(label, 11)}
			if s.Label == "NO NAME" {
				s.Label = ""
			}
			out = append(out, s)
		}
	}
	return out
}

// extKind tells ext2, 3 and 4 apart by their features, as blkid does.
func extKind(m *image) string {
	compat, incompat, readOnly := m.le32(1024+0x5c), m.le32(1024+0x60), m.le32(1024+0x64)
	switch {
	case incompat&8 != 0:
		return "jbd" // a journal on its own
	case incompat&^0x16 != 0 || readOnly&^0x7 != 0: // what ext3 does not know
		return "ext4"
	case compat&4 != 0:
		return "ext3"
	}
	return "ext2"
}

const mdMagic = "\xfc\x4e\x2b\xa9"

// mdMember knows the super blocks of md: 1.1 and 1.2 at the beginning, 1.0 and
// 0.90 at the end.
func mdMember(m *image) (uuid, name string, ok bool) {
	sectors := m.size / 512
	for _, at := range []int64{0, 4096, ((sectors - 16) &^ 7) * 512} {
		if at >= 0 && m.has(at, mdMagic) && m.le32(at+4) == 1 {
			return m.uuid(at + 16), m.text(at+32, 32), true
		}
	}
	if at := m.size&^65535 - 65536; at >= 0 && m.has(at, mdMagic) && m.le32(at+4) == 0 && m.le32(at+8) == 90 {
		// Four words, in the byte order of the machine, shown as numbers.
		id := append(m.at(at+20, 4), m.at(at+52, 12)...)
		for i := 0; i < 16; i += 4 {
			id[i], id[i+1], id[i+2], id[i+3] = id[i+3], id[i+2], id[i+1], id[i]
		}
		return uuidOf(id), "", true
	}
	return "", "", false
}

// zfsMember reads the first label's list of names and values (XDR), which
// begins 16 KiB into the device.
func zfsMember(m *image) (guid, pool string, ok bool) {
	b := m.at(16<<10, 4<<10)
	if b[0] != 1 || b[1] > 1 || !bytes.Contains(b, []byte("pool_guid")) {
		return "", "", false
	}
	be := binary.BigEndian
	for at := 12; at+12 < len(b); { // after the header, version and flags
		size := int(be.Uint32(b[at:]))
		nameLen := int(be.Uint32(b[at+8:]))
		value := at + 12 + (nameLen+3)&^3
		if size < 20 || nameLen > 64 || at+size > len(b) || value+16 > at+size {
			break
		}
		switch key, kind := string(b[at+12:at+12+nameLen]), be.Uint32(b[value:]); {
		case key == "name" && kind == 9: // a string
			if n := int(be.Uint32(b[value+8:])); n <= size {
				pool = string(b[value+12 : min(value+12+n, at+size)])
			}
		case key == "pool_guid" && kind == 8: // a number of 64 bits
			guid = fmt.Sprint(be.Uint64(b[value+8:]))
		}
		at += size
	}
	return guid, strings.ToValidUTF8(pool, "?"), true
}

// guidOf writes a GUID of a partition table, whose first three fields are little-endian.
func guidOf(b []byte) string {
	return hex.EncodeToString([]byte{b[3], b[2], b[1], b[0]}) + "-" + hex.EncodeToString([]byte{b[5], b[4]}) + "-" +
		hex.EncodeToString([]byte{b[7], b[6]}) + "-" + hex.EncodeToString(b[8:10]) + "-" + hex.EncodeToString(b[10:16])
}

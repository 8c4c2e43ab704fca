package collect

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// entry is a partition as its table describes it.
type entry struct {
	kind, uuid, label string
	noAuto            bool // systemd must not switch it on by its type
}

// typeNames of partitions, by GUID and by number.
var typeNames = map[string]string{
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "efi",
	"bc13c2ff-59e6-4262-a352-b275fd6f7172": "xbootldr",
	"21686148-6449-6e6f-744e-656564454649": "bios-boot",
	swapPartition:                          "swap",
	"e6d6d379-f507-44c2-a23c-238f2a3df928": "lvm",
	"a19d880f-05fc-4d3b-a006-743f0f84911e": "raid",
	"0fc63daf-8483-4772-8e79-3d69d8477de4": "linux",
	"4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "root-x86-64",
	"b921b045-1df0-41c3-af44-4c6f280d3fae": "root-arm64",
	"933ac7e1-2eb4-4f13-b844-0e14e2aef915": "home",
	"4d21b016-b534-45c2-a9fb-5c16e091fd2d": "var",
	"3b8f8425-20e0-4f3b-907f-1a25a76f98e8": "srv",
	"ca7d7ccb-63ed-4c53-861c-1742536059cc": "luks",
	"6a898cc3-1dd2-11b2-99a6-080020736631": "zfs",
	"ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "ms-data",
	"e3c9e316-0b5c-4db8-817d-f92df00215ae": "ms-reserved",
	"4fbd7e29-9d25-41b8-afd0-062c0ceff05d": "ceph-osd",
	"cafecafe-9b03-4f30-b4c6-b4b80ceff106": "ceph-block",
	"0x5":                                  "extended", "0xf": "extended", "0x85": "extended",
	"0x7": "ntfs", "0xb": "fat32", "0xc": "fat32", "0x82": "swap", "0x83": "linux", "0x8e": "lvm", "0xef": "efi", "0xfd": "raid",
}

const swapPartition = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"

// readTable reads a disk's partition table: its kind, "" for none, and the
// entries by partition number.
func readTable(r io.ReaderAt, m *image) (string, map[int]entry) {
	for _, sector := range []int64{512, 4096} {
		if m.has(sector, "EFI PART") {
			if entries := readGPT(r, m, sector); entries != nil {
				return "gpt", entries
			}
		}
	}
	if !m.has(510, "\x55\xaa") {
		return "", nil
	}
	return readMBR(r, m)
}

func readGPT(r io.ReaderAt, m *image, sector int64) map[int]entry {
	le := binary.LittleEndian
	header := m.at(sector, 92)
	at, count, size := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if at > 1<<40 || count > 1024 || size < 128 || size > 4096 {
		return nil
	}
	table := make([]byte, int(count*size))
	if _, err := r.ReadAt(table, int64(at)*sector); err != nil {
		return nil
	}
	out := map[int]entry{}
	for i := range int(count) {
		b := table[i*int(size):]
		if uuidOf(b[:16]) == "" {
			continue
		}
		var name []uint16
		for c := 56; c < 128; c += 2 {
			if le.Uint16(b[c:]) == 0 {
				break
			}
			name = append(name, le.Uint16(b[c:]))
		}
		out[i+1] = entry{kind: guidOf(b), uuid: guidOf(b[16:]), label: strings.ToValidUTF8(string(utf16.Decode(name)), "?"), noAuto: b[55]&0x80 != 0}
	}
	return out
}

// readMBR reads the four primary partitions and the chain of logical ones. What
// only looks like a table (a boot sector of a file system) is none.
func readMBR(r io.ReaderAt, m *image) (string, map[int]entry) {
	if m.has(82, "FAT32") || m.has(54, "FAT1") || m.has(3, "NTFS") || m.has(3, "EXFAT") {
		return "", nil
	}
	disk := m.le32(440)
	out := map[int]entry{}
	extended := int64(0)
	for i := range 4 {
		b := m.at(446+int64(i)*16, 16)
		if b[0] != 0 && b[0] != 0x80 {
			return "", nil
		}
		if b[4] == 0 {
			continue
		}
		e := entry{kind: fmt.Sprintf("%#x", b[4]), uuid: fmt.Sprintf("%08x-%02x", disk, i+1)}
		if typeNames[e.kind] == "extended" && extended == 0 {
			extended = int64(binary.LittleEndian.Uint32(b[8:]))
		}
		out[i+1] = e
	}
	if len(out) == 0 {
		return "", nil
	}
	at := extended
	for number := 5; at > 0 && number < 64; number++ {
		b := make([]byte, 512)
		if _, err := r.ReadAt(b, at*512); err != nil || b[510] != 0x55 || b[511] != 0xaa {
			break
		}
		if b[450] == 0 {
			break
		}
		out[number] = entry{kind: fmt.Sprintf("%#x", b[450]), uuid: fmt.Sprintf("%08x-%02x", disk, number)}
		next := int64(binary.LittleEndian.Uint32(b[470:])) // relative to the extended partition
		if at = extended + next; next == 0 {
			break
		}
	}
	return "dos", out
}

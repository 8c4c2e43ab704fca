package collect

import (
	"encoding/binary"
	"os"
	"strings"
)

// modinfo reads the .modinfo section of an uncompressed kernel module: lines
// like version=580.65.06. NVIDIA's is 60 MB and more, so only the section is read.
// What is no such module gives nothing.
func modinfo(path string) map[string]string {
	out := map[string]string{}
	f, err := os.Open(path)
	if err != nil {
		return out
	}
	defer f.Close()
	head := make([]byte, 64)
	if _, err := f.ReadAt(head, 0); err != nil || string(head[:6]) != "\x7fELF\x02\x01" { // 64 bit, little endian
		return out
	}
	le := binary.LittleEndian
	at, size, count, names := le.Uint64(head[40:]), int(le.Uint16(head[58:])), int(le.Uint16(head[60:])), int(le.Uint16(head[62:]))
	if size != 64 || names >= count || at > 1<<40 {
		return out
	}
	table := make([]byte, size*count)
	if _, err := f.ReadAt(table, int64(at)); err != nil {
		return out
	}
	section := func(i int) []byte {
		h := table[i*size:]
		offset, length := le.Uint64(h[24:]), le.Uint64(h[32:])
		if offset > 1<<40 || length > 1<<20 {
			return nil
		}
		b := make([]byte, length)
		if _, err := f.ReadAt(b, int64(offset)); err != nil {
			return nil
		}
		return b
	}
	strs := section(names)
	for i := range count {
		start := le.Uint32(table[i*size:])
		if uint64(start) >= uint64(len(strs)) {
			continue
		}
		if name, _, _ := strings.Cut(string(strs[start:]), "\x00"); name != ".modinfo" {
			continue
		}
		for entry := range strings.SplitSeq(string(section(i)), "\x00") {
			if key, value, ok := strings.Cut(entry, "="); ok {
				out[key] = value
			}
		}
	}
	return out
}

package collect

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/facts"
)

// maxProbes bounds reads at a time; each one blocks a thread.
const maxProbes = 64

// seen is what was found on one disk and its partitions.
type seen struct {
	disk       int
	table      string
	entries    map[int]entry
	unread     []string // of the disk, then of each partition
	signatures [][]facts.Signature
}

// probeAll looks at all disks side by side. A disk that does not answer in time
// is told as such, and its reader left behind: nothing can call off a read of a
// dying disk.
func (h *host) probeAll(disks []facts.Disk, wait time.Duration, look func(disk int, paths []string, sizes []uint64) seen) {
	results := make(chan seen, len(disks))
	slots := make(chan struct{}, maxProbes)
	waiting := map[int]bool{}
	var begun sync.Mutex // readers that have not begun when time is up must not begin
	over := false
	for i := range disks {
		if why := h.unreadable(&disks[i]); why != "" {
			disks[i].Unread = why
			continue
		}
		waiting[i] = true
		paths := []string{disks[i].Path}
		sizes := []uint64{disks[i].Size}
		for _, p := range disks[i].Partitions {
			paths, sizes = append(paths, p.Path), append(sizes, p.Size)
		}
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			begun.Lock()
			late := over
			begun.Unlock()
			if !late {
				results <- look(i, paths, sizes)
			}
		}()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for len(waiting) > 0 {
		select {
		case s := <-results:
			delete(waiting, s.disk)
			fill(&disks[s.disk], s)
		case <-timer.C:
			begun.Lock()
			over = true
			begun.Unlock()
			for i := range waiting {
				disks[i].Unread = "no answer within " + wait.String()
			}
			return
		}
	}
}

// unreadable names the devices that are better not opened: a suspended map
// blocks for ever, and a network volume belongs to somebody's pod.
func (h *host) unreadable(d *facts.Disk) string {
	dir := "/sys/block/" + d.Name
	switch state := h.line(dir + "/device/state"); {
	case d.Kind == "rbd", d.Kind == "nbd", d.Kind == "drbd":
		return "a network volume is not read"
	case h.line(dir+"/dm/suspended") == "1":
		return "suspended"
	case state == "offline", state == "blocked", state == "transport-offline", state == "dead":
		return "the kernel says " + state
	}
	return ""
}

func fill(d *facts.Disk, s seen) {
	d.Table, d.Unread, d.Signatures = s.table, s.unread[0], s.signatures[0]
	for i := range d.Partitions {
		p := &d.Partitions[i]
		p.Unread, p.Signatures = s.unread[i+1], s.signatures[i+1]
		e := s.entries[p.Number]
		p.Type, p.TypeName, p.UUID, p.Label = e.kind, typeNames[e.kind], e.uuid, e.label
		p.NoAuto = e.noAuto
	}
}

// look reads one disk and then its partitions: a spinning disk serves one
// reader best.
func (h *host) look(disk int, paths []string, sizes []uint64) seen {
	s := seen{disk: disk, unread: make([]string, len(paths)), signatures: make([][]facts.Signature, len(paths))}
	for i, p := range paths {
		f, err := os.OpenFile(h.path(p), os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			s.unread[i] = reason(err)
			continue
		}
		m, err := readImage(f, int64(sizes[i]))
		if err != nil {
			s.unread[i] = reason(err)
		} else {
			s.signatures[i] = signatures(m)
			if i == 0 {
				s.table, s.entries = readTable(f, m)
			}
		}
		f.Close()
	}
	return s
}

func readImage(f *os.File, size int64) (*image, error) {
	m := &image{size: size, head: make([]byte, min(headSize, size))}
	if _, err := f.ReadAt(m.head, 0); err != nil {
		return nil, err
	}
	if m.tailAt = max(size&^65535-65536, int64(len(m.head))); m.tailAt < size {
		m.tail = make([]byte, min(tailSize, size-m.tailAt))
		if _, err := f.ReadAt(m.tail, m.tailAt); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func reason(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "no device node"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return strings.ToLower(err.Error())
}

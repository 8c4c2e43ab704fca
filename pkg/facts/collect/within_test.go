package collect

import (
	"testing"
	"time"

	"kforge.dev/kforge/pkg/facts"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	if v, ok := within(time.Minute, func() int { return 7 }); v != 7 || !ok {
		t.Errorf("within = %d, %v", v, ok)
	}
	stuck := make(chan struct{})
	defer close(stuck)
	if v, ok := within(time.Millisecond, func() int { <-stuck; return 7 }); v != 0 || ok {
		t.Errorf("within = %d, %v for what does not answer", v, ok)
	}
}

// A disk that hangs holds up no other, also where more hang than are read at a
// time.
func TestDyingDisks(t *testing.T) {
	t.Parallel()
	h := &host{root: t.TempDir()}
	disks := make([]facts.Disk, 2*maxProbes)
	for i := range disks {
		disks[i] = facts.Disk{Name: "sda", Path: "/dev/sda"}
	}
	stuck := make(chan struct{})
	defer close(stuck)
	h.probeAll(disks, 300*time.Millisecond, func(i int, _ []string, _ []uint64) seen {
		if i != 3 {
			<-stuck
		}
		return seen{disk: i, unread: []string{""}, signatures: [][]facts.Signature{{{Type: "xfs"}}}}
	})
	for i, d := range disks {
		if d.Unread != "" && d.Unread != "no answer within 300ms" || i != 3 && d.Unread == "" {
			t.Errorf("disk %d: unread %q", i, d.Unread)
		}
	}
	few := disks[:8]
	for i := range few {
		few[i].Unread = ""
	}
	h.probeAll(few, 300*time.Millisecond, func(i int, _ []string, _ []uint64) seen {
		if i != 3 {
			<-stuck
		}
		return seen{disk: i, unread: []string{""}, signatures: [][]facts.Signature{{{Type: "xfs"}}}}
	})
	if few[3].Unread != "" || few[3].Signatures == nil || few[4].Unread == "" {
		t.Errorf("one of eight answers: %+v", few)
	}
}

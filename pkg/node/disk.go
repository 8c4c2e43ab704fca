package node

import (
	"fmt"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// DiskPolicy is when the kubelet evicts pods and removes images.
type DiskPolicy struct {
	// EvictionHard holds all of the kubelet's signals: naming one drops the
	// defaults of the others.
	EvictionHard map[string]string
	// Percent of the image file system in use above which unused images are
	// removed, and down to which.
	ImageGCHigh, ImageGCLow int32
	// NodeFSBytes and ImageFSBytes are the thresholds of EvictionHard.
	NodeFSBytes, ImageFSBytes uint64
}

// Disk computes the policy from the sizes of the host's file systems.
//
// The kubelet's own defaults are percentages (10 and 15 %), which take 38 GB
// from a disk of 252 GB and taint a node that has 33 GB to spare. Here the
// threshold is 5 % of the file system, at least 1 GiB and at most 10 GiB, and
// never above a tenth of a disk smaller than 10 GiB. It follows from the size
// alone, not from what is free just now: a threshold that sank as the disk
// filled would never warn, and each run would restart the kubelet.
//
// Images are removed when twice the threshold is left, so that this happens
// before pods have to go.
func Disk(f *facts.Host) DiskPolicy {
	node := threshold(Space(f, "/var/lib/kubelet").Total)
	images := Space(f, "/var/lib/containerd").Total
	image := threshold(images)
	high := int32(85)
	if images > 0 {
		high = int32(100 - (2*image*100+images-1)/images)
	}
	high = max(50, min(high, 95))
	return DiskPolicy{
		EvictionHard: map[string]string{
			"memory.available":   mebibytes(memoryThreshold(f.Memory.Total)),
			"nodefs.available":   mebibytes(node),
			"nodefs.inodesFree":  "5%",
			"imagefs.available":  mebibytes(image),
			"imagefs.inodesFree": "5%",
		},
		ImageGCHigh: high, ImageGCLow: high - 5,
		NodeFSBytes: node, ImageFSBytes: image,
	}
}

func threshold(total uint64) uint64 {
	if total == 0 {
		return gib
	}
	return min(max(total/20, min(gib, total/10)), 10*gib) / mib * mib
}

// memoryThreshold is 1 % of memory in steps of 50 MiB (a new kernel takes some
// megabytes more or less for itself), from the kubelet's 100 MiB to 1 GiB.
func memoryThreshold(total uint64) uint64 {
	const step = 50 * mib
	return min(max(total/100/step*step, 100*mib), gib)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%dMi", n/mib) }

// Space finds the file system of a path: its own facts, else those of the
// nearest parent. The zero value means that nothing is known.
func Space(f *facts.Host, path string) facts.PathSpace {
	var best facts.PathSpace
	for _, p := range f.Paths {
		under := path == p.Path || p.Path == "/" || strings.HasPrefix(path, strings.TrimSuffix(p.Path, "/")+"/")
		if under && len(p.Path) >= len(best.Path) {
			best = p
		}
	}
	return best
}

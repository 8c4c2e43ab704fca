package etcd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"

	"kforge.dev/kforge/pkg/diag"
)

// Saved tells of a snapshot that was taken.
type Saved struct {
	Member  string `json:"member"`            // that it was taken of
	Version string `json:"version,omitempty"` // of its etcd
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"` // of all bytes written, in hex
}

// Snapshot writes the state of one member, the healthy one that has applied
// most, to w. What was written is whole only when the error is nil; Verify tells
// whether it can be restored.
func (c *Cluster) Snapshot(ctx context.Context, w io.Writer) (Saved, error) {
	const op = "take etcd snapshot"
	members, err := c.Members(ctx)
	if err != nil {
		return Saved{}, err
	}
	m, err := source(members)
	if err != nil {
		return Saved{}, err
	}
	one, err := c.only(m.ClientURLs[0])
	if err != nil {
		return Saved{}, err
	}
	defer one.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reply, err := one.client.SnapshotWithVersion(ctx)
	if err != nil {
		return Saved{}, explain(op+" of "+m.Title(), err)
	}
	defer reply.Snapshot.Close()
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, sum), reply.Snapshot)
	if err != nil {
		return Saved{}, explain(op+" of "+m.Title(), err)
	}
	return Saved{Member: m.Title(), Version: reply.Version, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// source chooses the member to read from: the one that has applied most, and
// of those a follower, since the leader has work enough.
func source(members []Member) (Member, error) {
	fit := slices.DeleteFunc(slices.Clone(members), func(m Member) bool {
		// A full member can be read all the same, and that may be when a
		// snapshot is needed most; a corrupt one can not be trusted.
		full := len(m.Alarms) == 1 && m.Alarms[0] == "NOSPACE"
		return !m.Healthy && !full || m.Learner || len(m.ClientURLs) == 0
	})
	if len(fit) == 0 {
		return Member{}, diag.New(diag.Cluster, "take etcd snapshot", "no member is healthy").
			WithHint("see `kforge etcd status`; the control planes keep snapshots of their own: see docs/etcd.md")
	}
	return slices.MinFunc(fit, func(a, b Member) int {
		if a.Leader != b.Leader && max(a.Applied, b.Applied)-min(a.Applied, b.Applied) <= lag {
			if a.Leader {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Applied, a.Applied)
	}), nil
}

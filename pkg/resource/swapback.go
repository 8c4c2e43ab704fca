package resource

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"kforge.dev/kforge/pkg/spec"
)

// swapBackState is an fstab in which swap lines are switched off by us. What
// else was switched off (masked units, zram) is recorded and comes back with the
// other files.
type swapBackState struct {
	fstab, back []byte
	kept        bool // a copy of the first fstab lies beside it
}

func restoreSwap(s *session) (*swapBackState, error) {
	raw, err := os.ReadFile(s.path("/etc/fstab"))
	if errors.Is(err, fs.ErrNotExist) {
		return &swapBackState{}, nil
	}
	if err != nil {
		return nil, err
	}
	st := &swapBackState{fstab: raw, back: withSwap(raw)}
	// The copy is ours; the file is not, and may have other new lines by now.
	st.kept = s.existsItself("/etc/fstab" + origSuffix)
	return st, nil
}

// withSwap undoes withoutSwap.
func withSwap(fstab []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(fstab)) {
		out.WriteString(strings.TrimPrefix(line, disabledMark))
	}
	return []byte(out.String())
}

func (st *swapBackState) diff(*session) ([]spec.Change, error) {
	var changes []spec.Change
	if string(st.fstab) != string(st.back) {
		changes = append(changes, spec.Change{Action: spec.Update, Detail: "/etc/fstab", Diff: unified("/etc/fstab", st.fstab, st.back)})
	}
	if st.kept {
		changes = append(changes, spec.Change{Action: spec.Delete, Detail: "/etc/fstab" + origSuffix})
	}
	return changes, nil
}

func (st *swapBackState) apply(ctx context.Context, s *session) error {
	if string(st.fstab) != string(st.back) {
		if err := replaceKept(ctx, s, "/etc/fstab", st.back); err != nil {
			return err
		}
	}
	return gone(os.Remove(s.path("/etc/fstab" + origSuffix)))
}

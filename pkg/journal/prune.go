package journal

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

var runName = regexp.MustCompile(`^\d{8}T\d{6}Z-`)

// prune removes all runs in dir but the keep that were written to last. Not the
// name decides: a long apply is still written to after fifty quick checks. What
// does not look like a run is left alone.
func prune(dir string, keep int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return diag.Wrap(diag.Permission, "list old runs", err)
	}
	type old struct {
		path    string
		written time.Time
	}
	var runs []old
	for _, e := range entries {
		if !e.IsDir() || !runName.MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(filepath.Join(path, EventsFile)); err == nil {
			runs = append(runs, old{path, info.ModTime()})
		}
	}
	slices.SortFunc(runs, func(a, b old) int {
		if c := b.written.Compare(a.written); c != 0 {
			return c
		}
		return strings.Compare(b.path, a.path)
	})
	var errs []error
	for _, r := range runs[min(keep, len(runs)):] {
		errs = append(errs, os.RemoveAll(r.path))
	}
	if err := errors.Join(errs...); err != nil {
		return diag.Wrap(diag.Permission, "remove old runs", err)
	}
	return nil
}

package resource

import (
	"io/fs"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// kindOf gives the one kind that is set, after checking what does not depend on
// the host.
func kindOf(r spec.Resource) (kind, error) {
	var kinds []kind
	var paths []string
	if r.File != nil {
		kinds, paths = append(kinds, fileKind{r.File}), append(paths, r.File.Path)
	}
	if r.Directory != nil {
		kinds, paths = append(kinds, directoryKind{r.Directory}), append(paths, r.Directory.Path)
	}
	if r.Symlink != nil {
		kinds, paths = append(kinds, symlinkKind{r.Symlink}), append(paths, r.Symlink.Path)
	}
	if r.Archive != nil {
		kinds, paths = append(kinds, archiveKind{r.ID, r.Archive}), append(paths, r.Archive.Dest)
	}
	if r.Unit != nil {
		kinds, paths = append(kinds, unitKind{r.Unit}), append(paths, r.Unit.RestartOn...)
	}
	if r.Sysctl != nil {
		kinds, paths = append(kinds, sysctlKind{r.Sysctl}), append(paths, r.Sysctl.Path)
	}
	if r.Modules != nil {
		kinds, paths = append(kinds, modulesKind{r.Modules}), append(paths, r.Modules.Path)
	}
	if r.Swap != nil {
		kinds = append(kinds, swapKind{r.Swap})
	}
	if r.Image != nil {
		kinds = append(kinds, imageKind{r.Image})
	}
	if r.Command != nil {
		kinds, paths = append(kinds, commandKind{r.ID, r.Command}), append(paths, r.Command.Unless...)
	}
	if r.Kubeconfig != nil {
		kinds, paths = append(kinds, kubeconfigKind{r.Kubeconfig}), append(paths, r.Kubeconfig.Path)
	}
	if r.Absent != nil {
		kinds, paths = append(kinds, absentKind{r.Absent}), append(paths, append(r.Absent.Paths, r.Absent.EmptyDirs...)...)
	}
	if r.Owned != nil {
		kinds, paths = append(kinds, ownedKind{r.Owned}), append(paths, r.Owned.EmptyDirs...)
	}
	if r.Containers != nil {
		kinds = append(kinds, containersKind{r.Containers})
	}
	if r.Unmounted != nil {
		kinds, paths = append(kinds, unmountedKind{r.Unmounted}), append(paths, r.Unmounted.Below...)
	}
	if r.NoLinks != nil {
		kinds = append(kinds, noLinksKind{r.NoLinks})
	}
	if r.NoFilter != nil {
		kinds = append(kinds, noFilterKind{r.NoFilter})
	}
	if r.Wiped != nil {
		kinds, paths = append(kinds, wipedKind{r.Wiped}), append(paths, r.Wiped.Device)
	}
	if r.Move != nil {
		kinds, paths = append(kinds, moveKind{r.Move}), append(paths, r.Move.From, r.Move.To)
		if r.Move.Keep != "" {
			paths = append(paths, r.Move.Keep)
		}
	}
	if r.Ended != nil {
		kinds, paths = append(kinds, endedKind{r.Ended}), append(paths, r.Ended.Paths...)
	}
	if r.HAProxy != nil {
		kinds, paths = append(kinds, haproxyKind{r.HAProxy}), append(paths, r.HAProxy.Socket)
	}
	if len(kinds) != 1 {
		return nil, diag.New(diag.Internal, "check resource", "%d kinds are set, want exactly one", len(kinds))
	}
	for _, p := range paths {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p {
			return nil, diag.New(diag.Invalid, "check resource", "path %q is not absolute and clean", p)
		}
	}
	return kinds[0], nil
}

func checkIDs(rs []spec.Resource) error {
	seen := map[string]bool{}
	for _, r := range rs {
		if r.ID == "" || seen[r.ID] {
			return diag.New(diag.Internal, "check resources", "resource id %q is empty or there twice", r.ID)
		}
		seen[r.ID] = true
	}
	return nil
}

// checkMode refuses what kforge never sets: set-uid, set-gid and file types.
func checkMode(mode, allowed fs.FileMode) error {
	if mode&^allowed != 0 {
		return diag.New(diag.Invalid, "check mode", "mode %v has bits other than permissions", mode)
	}
	return nil
}

// checkDigest accepts "sha256:" and 64 lower-case hex digits.
func checkDigest(d string) error {
	hex, ok := strings.CutPrefix(d, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return diag.New(diag.Invalid, "check digest", "%q is not a sha256 digest", d)
	}
	return nil
}

package resource

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// unitStatus is what systemd says of a unit.
type unitStatus struct {
	load       string // loaded, not-found, masked ...
	active     string // active, activating, inactive, failed ...
	sub        string
	file       string // enabled, disabled, static, masked, ""
	result     string
	needReload bool
	invocation string
	started    time.Duration // CLOCK_MONOTONIC when it last left inactive
}

const unitProperties = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,NeedDaemonReload,InvocationID,InactiveExitTimestampMonotonic"

func (u unitStatus) running() bool { return u.active == "active" || u.active == "reloading" }

func (u unitStatus) enabled() bool {
	return slices.Contains([]string{"enabled", "static", "alias", "indirect", "generated"}, u.file)
}

func (u unitStatus) disableable() bool { return u.file == "enabled" || u.file == "enabled-runtime" }

func (u unitStatus) describe() string {
	switch {
	case u.load == "not-found":
		return "not there"
	case u.active == "failed" && u.result != "":
		return "failed (" + u.result + ")"
	case u.sub != "" && u.sub != u.active && u.sub != "dead":
		return u.active + " (" + u.sub + ")"
	}
	return u.active
}

// prefetchUnits asks systemd once for all units of a request.
func (s *session) prefetchUnits(ctx context.Context, rs []spec.Resource) {
	var names []string
	for _, r := range rs {
		if r.Unit != nil {
			names = append(names, r.Unit.Name)
		}
	}
	if len(names) == 0 {
		return
	}
	// An error is met again, and told, when the first unit is looked at.
	if units, err := s.show(ctx, names); err == nil {
		s.units = units
	}
}

func (s *session) unitStatus(ctx context.Context, name string) (unitStatus, error) {
	if u, ok := s.units[name]; ok {
		return u, nil
	}
	units, err := s.show(ctx, []string{name})
	return units[name], err
}

func (s *session) show(ctx context.Context, names []string) (map[string]unitStatus, error) {
	for _, n := range names {
		if n == "" || strings.HasPrefix(n, "-") || strings.ContainsAny(n, " \n/") || !strings.Contains(n, ".") {
			return nil, diag.New(diag.Invalid, "check unit", "%q is no unit name such as kubelet.service", n)
		}
	}
	out, err := run(ctx, s.Runner, append([]string{"systemctl", "show", "--no-pager", "--property=" + unitProperties, "--"}, names...)...)
	if err != nil {
		return nil, err
	}
	blocks := strings.Split(strings.TrimSpace(out), "\n\n")
	if len(blocks) != len(names) {
		return nil, diag.New(diag.Unsupported, "systemctl show", "%d units asked for, %d answered", len(names), len(blocks))
	}
	units := map[string]unitStatus{}
	for i, b := range blocks {
		units[names[i]] = parseUnit(b)
	}
	return units, nil
}

func parseUnit(block string) unitStatus {
	var u unitStatus
	for line := range strings.Lines(block) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			u.load = value
		case "ActiveState":
			u.active = value
		case "SubState":
			u.sub = value
		case "UnitFileState":
			u.file = value
		case "Result":
			u.result = value
		case "NeedDaemonReload":
			u.needReload = value == "yes"
		case "InvocationID":
			u.invocation = value
		case "InactiveExitTimestampMonotonic":
			if us, err := strconv.ParseInt(value, 10, 64); err == nil {
				u.started = time.Duration(us) * time.Microsecond
			}
		}
	}
	return u
}

// inputs are the files that a unit reads at start.
type inputs struct {
	digest string
	newest time.Time // when the last of them took its content or name
}

// readInputs digests files, and the regular files right in directories. A
// missing one counts as such, so that its coming and going shows.
func (s *session) readInputs(ctx context.Context, paths []string) (inputs, error) {
	var in inputs
	h := sha256.New()
	for _, p := range slices.Sorted(slices.Values(paths)) {
		fi, err := os.Stat(s.path(p))
		if err == nil && fi.IsDir() {
			entries, err := os.ReadDir(s.path(p))
			if err != nil {
				return in, err
			}
			in.note(fi) // a removed file shows in its directory only
			for _, e := range entries {
				if strings.Contains(e.Name(), tmpMark) || strings.HasSuffix(e.Name(), origSuffix) {
					continue
				}
				if err := s.readInput(ctx, h, &in, filepath.Join(p, e.Name()), true); err != nil {
					return in, err
				}
			}
			continue
		}
		if err := s.readInput(ctx, h, &in, p, false); err != nil {
			return in, err
		}
	}
	in.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return in, nil
}

func (s *session) readInput(ctx context.Context, h interface{ Write([]byte) (int, error) }, in *inputs, p string, inDir bool) error {
	fi, err := os.Stat(s.path(p))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		if !inDir {
			fmt.Fprintf(h, "%s absent\n", p)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return nil
	}
	in.note(fi)
	rec, err := s.records.Path(p)
	if err != nil {
		return err
	}
	digest := ""
	if rec.Vouches(fi) {
		digest = rec.Digest
	} else if digest, err = hashFile(ctx, s.path(p)); err != nil {
		return err
	}
	fmt.Fprintf(h, "%s %s\n", p, digest)
	return nil
}

func (in *inputs) note(fi fs.FileInfo) {
	t := fi.ModTime()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		// A rename or chmod moves ctime only; a restored mtime may lie.
		if c := time.Unix(st.Ctim.Unix()); c.After(t) {
			t = c
		}
	}
	if t.After(in.newest) {
		in.newest = t
	}
}

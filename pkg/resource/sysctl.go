package resource

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

type sysctlKind struct{ want *spec.Sysctl }

type sysctlState struct {
	want   *spec.Sysctl
	file   *fileState
	live   map[string]string // normalised; a missing key is not there
	closed map[string]string // best-effort keys that the kernel will not take, and why
}

func (k sysctlKind) observe(ctx context.Context, s *session) (observed, error) {
	w := k.want
	o, err := fileKind{&spec.File{Path: w.Path, Mode: 0o644, Content: sysctlDropIn(w)}}.observe(ctx, s)
	if err != nil {
		return nil, err
	}
	st := &sysctlState{want: w, file: o.(*fileState), live: map[string]string{}, closed: map[string]string{}}
	for _, key := range slices.Sorted(maps.Keys(w.Values)) {
		p := s.path(procSys(key))
		if !strings.HasPrefix(p, s.path("/proc/sys")+"/") {
			return nil, diag.New(diag.Invalid, "check sysctl", "%q is no kernel setting", key)
		}
		raw, err := os.ReadFile(p)
		if err == nil {
			st.live[key] = normalise(string(raw))
		}
		if !slices.Contains(w.BestEffort, key) {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("reading kernel setting %s: %w", key, err)
			}
			continue
		}
		st.closed[key] = whyClosed(s, key, p, err)
	}
	return st, nil
}

// whyClosed tells why a best-effort key cannot be set; "" when it can.
func whyClosed(s *session, key, path string, readErr error) string {
	if errors.Is(readErr, fs.ErrNotExist) {
		return "this kernel does not have it"
	}
	if readErr != nil {
		return readErr.Error()
	}
	if s.records.Refused(s.bootID, "sysctl "+key) {
		return "the kernel refused it"
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return "the kernel does not let us write it"
	}
	f.Close()
	return ""
}

func (st *sysctlState) diff(s *session) ([]spec.Change, error) {
	changes, err := st.file.diff(s)
	if err != nil {
		return nil, err
	}
	var set []string
	for _, key := range slices.Sorted(maps.Keys(st.want.Values)) {
		want := normalise(st.want.Values[key])
		is, there := st.live[key]
		switch {
		case there && is == want, st.closed[key] != "" && !s.loads:
		case !there && !slices.Contains(st.want.BestEffort, key) && !s.loads:
			return nil, diag.New(diag.Unsupported, "set "+key, "this kernel does not have it").
				WithHint("load the module that brings it, or drop the setting for this host's class")
		case !there:
			set = append(set, key+" = "+want)
		default:
			set = append(set, fmt.Sprintf("%s: %s to %s", key, is, want))
		}
	}
	if len(set) > 0 {
		changes = append(changes, spec.Change{Action: spec.Update, Detail: strings.Join(set, ", ")})
	}
	return changes, nil
}

func (st *sysctlState) apply(ctx context.Context, s *session) error {
	fileChanges, err := st.file.diff(s)
	if err != nil {
		return err
	}
	if len(fileChanges) > 0 {
		if err := st.file.apply(ctx, s); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(st.want.Values)) {
		want := normalise(st.want.Values[key])
		if is, there := st.live[key]; there && is == want {
			continue
		}
		if why := st.closed[key]; why != "" {
			s.warn("%s is not set to %s: %s", key, want, why)
			continue
		}
		err := writeProc(s.path(procSys(key)), want)
		switch {
		case err == nil:
		case slices.Contains(st.want.BestEffort, key):
			s.warn("%s is not set to %s: %v", key, want, err)
			if err := s.records.Refuse(s.bootID, "sysctl "+key); err != nil {
				return err
			}
		default:
			return fmt.Errorf("setting %s to %s: %w", key, want, err)
		}
	}
	return nil
}

func (st *sysctlState) adopt(s *session) error { return st.file.adopt(s) }

// writeProc writes a value in one write, as the kernel wants it; it never makes
// a file.
func writeProc(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(value + "\n"); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// procSys maps a key to its file. A key with slashes may have dots in its
// names: net/ipv4/conf/eth0.100/rp_filter.
func procSys(key string) string {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	return filepath.Join("/proc/sys", key)
}

func normalise(v string) string { return strings.Join(strings.Fields(v), " ") }

// sysctlDropIn is the file that sets the values at boot. A leading "-" tells
// systemd-sysctl to go on when the kernel refuses.
func sysctlDropIn(w *spec.Sysctl) []byte {
	var b strings.Builder
	b.WriteString(spec.Header + "\n")
	for _, key := range slices.Sorted(maps.Keys(w.Values)) {
		if slices.Contains(w.BestEffort, key) {
			b.WriteByte('-')
		}
		fmt.Fprintf(&b, "%s = %s\n", key, normalise(w.Values[key]))
	}
	return []byte(b.String())
}

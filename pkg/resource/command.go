package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// InputDir holds the inputs of the command that runs, under the root.
const InputDir = "/run/kforge/inputs"

type commandKind struct {
	id   string
	want *spec.Command
}

type commandState struct {
	commandKind
	rec         *record.Command
	interrupted bool
	missing     []string // of Unless
}

func (k commandKind) observe(_ context.Context, s *session) (observed, error) {
	if len(k.want.Argv) == 0 {
		return nil, diag.New(diag.Invalid, "check command", "empty argv")
	}
	for name := range k.want.Inputs {
		if name == "" || strings.ContainsAny(name, "/{}\x00") || name[0] == '.' {
			return nil, diag.New(diag.Invalid, "check command", "%q cannot be the name of an input", name)
		}
	}
	st := &commandState{commandKind: k}
	var err error
	if st.rec, err = s.records.Command(k.id); err != nil {
		return nil, err
	}
	st.interrupted = s.records.WasInterrupted(st.rec)
	for _, p := range k.want.Unless {
		_, err := os.Lstat(s.path(p))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err != nil {
			st.missing = append(st.missing, p)
		}
	}
	return st, nil
}

// diff decides whether the command runs. Without Unless the agent's own record
// is the guard: it ran to its good end with this argv and environment.
func (st *commandState) diff(s *session) ([]spec.Change, error) {
	c := spec.Change{Action: spec.Run, Detail: strings.Join(st.want.Argv, " ")}
	switch {
	case st.interrupted:
		c.Why = "its last run was interrupted"
		if st.rec.Outcome == record.Failed {
			c.Why = "its last run failed"
		}
		if len(st.want.Recover) > 0 {
			c.Why += "; first " + strings.Join(st.want.Recover, " ")
		}
	case len(st.missing) > 0:
		c.Why = st.missing[0] + " is not there"
	case st.want.EachRun && (st.rec == nil || st.rec.Run != s.Run):
		c.Why = "wanted anew by each run that needs it"
	case len(st.want.Unless) == 0 && (st.rec == nil || st.rec.Argv != st.argvDigest()):
	default:
		return nil, nil
	}
	return []spec.Change{c}, nil
}

func (st *commandState) argvDigest() string {
	return digestOf([]byte(strings.Join(append(slices.Clone(st.want.Argv), st.want.Env...), "\x00")))
}

func (st *commandState) apply(ctx context.Context, s *session) (err error) {
	files, cleanup, err := st.writeInputs(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanup()) }()
	argv, err := substitute(st.want.Argv, files)
	if err != nil {
		return err
	}
	recovery, err := substitute(st.want.Recover, files)
	if err != nil {
		return err
	}
	rec := record.Command{
		ID: st.id, Argv: st.argvDigest(), Outcome: record.Begun, Run: s.Run,
		Begin: s.Now().UTC().Format(time.RFC3339), Unless: st.want.Unless,
		Until: s.Now().Add(2 * st.patience()).UTC().Format(time.RFC3339),
	}
	interrupted := st.interrupted
	if err := s.records.SaveCommand(rec); err != nil {
		return err
	}
	if interrupted && len(recovery) > 0 {
		if err := st.recover(ctx, s, recovery); err != nil {
			return fmt.Errorf("recovering from an interrupted run: %w", err)
		}
	}
	rec.Exit, err = st.execute(ctx, s, argv)
	rec.End = s.Now().UTC().Format(time.RFC3339)
	rec.Outcome = record.Done
	if err != nil {
		rec.Outcome = record.Failed
	}
	return errors.Join(err, s.records.SaveCommand(rec))
}

// recover runs what goes before a second try, and puts back the files that the
// try needs.
func (st *commandState) recover(ctx context.Context, s *session, argv []string) error {
	type kept struct {
		path    string
		content []byte
		info    fs.FileInfo
	}
	var keep []kept
	for _, p := range st.want.RecoverKeeps {
		info, err := os.Stat(s.path(p))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(s.path(p))
		if err != nil {
			return err
		}
		keep = append(keep, kept{p, content, info})
	}
	if _, err := st.execute(ctx, s, argv); err != nil {
		return err
	}
	for _, k := range keep {
		if err := s.mkdirs(k.path); err != nil {
			return err
		}
		uid, gid := owner(k.info)
		err := writeAtomic(ctx, s.Later, s.path(k.path), k.info.Mode().Perm(), uid, gid, bytes.NewReader(k.content), digestOf(k.content), func() error { return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

// patience is how long one program may take.
func (st *commandState) patience() time.Duration {
	if st.want.TimeoutSeconds == 0 {
		return 300 * time.Second
	}
	return time.Duration(st.want.TimeoutSeconds) * time.Second
}

// execute runs one program; its output goes out as events, and the last lines
// into the error.
func (st *commandState) execute(ctx context.Context, s *session, argv []string) (int, error) {
	timeout := st.patience()
	op := strings.Join(st.want.Argv[:min(2, len(st.want.Argv))], " ")
	tctx, cancel := context.WithTimeoutCause(ctx, timeout, diag.New(diag.Timeout, op, "not done after %s", timeout))
	defer cancel()
	var tail []string
	res, err := s.Runner.Run(tctx, Cmd{Argv: argv, Env: st.want.Env, Line: func(line string) {
		tail = append(tail[max(0, len(tail)-29):], line)
		s.sink(Event{Resource: st.id, Output: line})
	}})
	said := strings.Join(tail, "\n")
	switch {
	case err != nil && said != "":
		return res.Code, hint(diag.Wrap(diag.KindOf(err), op, fmt.Errorf("%w\n%s", err, said)), st.want.Hint)
	case err != nil:
		return res.Code, hint(diag.Wrap(diag.KindOf(err), op, err), st.want.Hint)
	case res.Code != 0:
		return res.Code, hint(diag.New(diag.Command, op, "exit status %d\n%s", res.Code, said), st.want.Hint)
	}
	return 0, nil
}

func hint(e *diag.Error, text string) *diag.Error {
	e.Hint = text
	return e
}

// writeInputs puts the inputs into a directory that only root can look into,
// and gives the path of each by name. cleanup removes them.
func (st *commandState) writeInputs(s *session) (files map[string]string, cleanup func() error, err error) {
	none := func() error { return nil }
	if len(st.want.Inputs) == 0 {
		return nil, none, nil
	}
	base := s.path(InputDir)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, none, err
	}
	dir, err := os.MkdirTemp(base, "run-") // 0700
	if err != nil {
		return nil, none, err
	}
	cleanup = func() error { return os.RemoveAll(dir) }
	files = map[string]string{}
	var refs []string // "@{name}", path, ...
	for _, name := range slices.Sorted(maps.Keys(st.want.Inputs)) {
		files[name] = filepath.Join(dir, name)
		refs = append(refs, "@{"+name+"}", files[name])
	}
	// One input may name another: kubeadm's configuration names the file that
	// tells of the cluster.
	paths := strings.NewReplacer(refs...)
	for name, p := range files {
		content := paths.Replace(string(st.want.Inputs[name]))
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			return nil, none, errors.Join(err, cleanup())
		}
	}
	return files, cleanup, nil
}

// substitute puts the paths of inputs in place of "@{name}".
func substitute(argv []string, files map[string]string) ([]string, error) {
	out := slices.Clone(argv)
	for i, arg := range out {
		var b strings.Builder
		for {
			before, rest, ok := strings.Cut(arg, "@{")
			b.WriteString(before)
			if !ok {
				break
			}
			name, after, closed := strings.Cut(rest, "}")
			p, known := files[name]
			if !closed || !known {
				return nil, diag.New(diag.Invalid, "check command", "%q names no input", out[i])
			}
			b.WriteString(p)
			arg = after
		}
		out[i] = b.String()
	}
	return out, nil
}

package resource_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

func TestCommandGuards(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ran [][]string
	fail := false
	f.Commands["init"] = func(_ context.Context, c resource.Cmd) (resource.Result, error) {
		ran = append(ran, c.Argv)
		c.Line("[init] working")
		if c.Argv[1] == "run" {
			raw, err := os.ReadFile(c.Argv[2])
			if fi, serr := os.Stat(c.Argv[2]); err != nil || serr != nil || fi.Mode().Perm() != 0o600 || string(raw) != "token" {
				t.Errorf("input = %q, %v, %v", raw, err, serr)
			}
			f.write(t, "/etc/done", "")
		}
		if fail {
			return resource.Result{Code: 3}, nil
		}
		return resource.Result{}, nil
	}
	r := spec.Resource{ID: "init", Command: &spec.Command{
		Argv: []string{"/usr/bin/init", "run", "@{config}"}, Inputs: map[string]spec.Secret{"config": spec.Secret("token")},
		Unless: []string{"/etc/done"}, Recover: []string{"init", "reset"}, Hint: "look at it",
	}}
	fail = true
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Command)
	if diag.Hint(err) != "look at it" || !strings.Contains(err.Error(), "exit status 3\n[init] working") {
		t.Errorf("error = %v, hint %q", err, diag.Hint(err))
	}
	if left, _ := filepath.Glob(filepath.Join(f.Root, "/run/kforge/inputs/*")); len(left) > 0 {
		t.Errorf("inputs left: %v", left)
	}
	// What it should make is there, but it failed: recover, then run.
	fail, ran = false, nil
	if got := f.converge(t, r); actions(got) != "run " || !strings.Contains(got[0].Why, "failed") {
		t.Errorf("changes = %+v", got)
	}
	if len(ran) != 2 || ran[0][1] != "reset" || ran[1][1] != "run" {
		t.Errorf("ran %v", ran)
	}
	output := false
	for _, e := range f.events {
		output = output || e.Output != ""
	}
	if output {
		t.Error("a settled command printed something")
	}
	// Without Unless, once for each argv.
	once := spec.Resource{ID: "once", Command: &spec.Command{Argv: []string{"init", "phase"}}}
	f.converge(t, once)
	once.Command.Argv = []string{"init", "phase", "2"}
	f.converge(t, once)
	// A command that does not make what guards it has not done its work.
	r = spec.Resource{ID: "idle", Command: &spec.Command{Argv: []string{"init", "idle"}, Unless: []string{"/etc/never"}}}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.NotConverged)
	r.Command.Argv = []string{"init", "@{nothing}"}
	_, err = f.apply(t, r)
	wantKind(t, err, diag.Invalid)
}

func TestExecKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var lines []string
	done := make(chan error, 1)
	script := `trap '' TERM; echo ready; (trap '' TERM; while :; do sleep 0.05; : > "$0"; done) & wait`
	go func() {
		_, err := resource.Exec{Grace: 200 * time.Millisecond}.Run(ctx, resource.Cmd{
			Argv: []string{"sh", "-c", script, filepath.Join(dir, "alive")},
			Line: func(l string) { lines = append(lines, l); cancel() },
		})
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) || len(lines) != 1 {
			t.Errorf("Run = %v, lines %q", err, lines)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run did not end")
	}
	os.Remove(filepath.Join(dir, "alive"))
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(dir, "alive")); err == nil {
		t.Error("a grandchild lives on")
	}
}

func TestExecResults(t *testing.T) {
	t.Parallel()
	res, err := resource.Exec{}.Run(t.Context(), resource.Cmd{Argv: []string{"sh", "-c", "cat; echo $X >&2; exit 3"}, Stdin: strings.NewReader("in"), Env: []string{"X=y"}})
	if err != nil || res.Code != 3 || res.Stdout != "in" || res.Stderr != "y\n" {
		t.Errorf("Run = %+v, %v", res, err)
	}
	_, err = resource.Exec{}.Run(t.Context(), resource.Cmd{Argv: []string{"no-such-program"}})
	wantKind(t, err, diag.NotFound)
}

func TestInputsMayNameEachOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Commands["join"] = func(_ context.Context, c resource.Cmd) (resource.Result, error) {
		conf, err := os.ReadFile(c.Argv[1])
		if err != nil {
			t.Error(err)
		}
		if info, err := os.ReadFile(strings.TrimPrefix(string(conf), "file: ")); err != nil || string(info) != "cluster" {
			t.Errorf("%q names %q, %v", conf, info, err)
		}
		return resource.Result{}, nil
	}
	f.converge(t, spec.Resource{ID: "join", Command: &spec.Command{Argv: []string{"join", "@{config}"}, Inputs: map[string]spec.Secret{
		"config": spec.Secret("file: @{info}"), "info": spec.Secret("cluster"),
	}}})
}

// Reset empties the folder of static pods, and the join that follows needs the
// node's load balancer.
func TestRecoverKeepsWhatTheCommandNeeds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const pod = "/etc/kubernetes/manifests/lb.yaml"
	fail, seen := true, ""
	f.Commands["join"] = func(_ context.Context, c resource.Cmd) (resource.Result, error) {
		if c.Argv[1] == "reset" {
			return resource.Result{}, os.RemoveAll(filepath.Join(f.Root, "/etc/kubernetes/manifests"))
		}
		if fail {
			return resource.Result{Code: 1}, nil
		}
		seen = f.ReadFile(pod)
		f.write(t, "/etc/done", "")
		return resource.Result{}, nil
	}
	f.write(t, pod, "kind: Pod\n")
	r := spec.Resource{ID: "join", Command: &spec.Command{
		Argv: []string{"join", "run"}, Unless: []string{"/etc/done"}, Recover: []string{"join", "reset"}, RecoverKeeps: []string{pod, "/etc/never"},
	}}
	_, err := f.apply(t, r)
	wantKind(t, err, diag.Command)
	fail = false
	f.converge(t, r)
	if seen != "kind: Pod\n" {
		t.Errorf("the command found %q", seen)
	}
}

func TestCommandOfEachRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ran := 0
	f.Commands["phase"] = func(context.Context, resource.Cmd) (resource.Result, error) {
		ran++
		return resource.Result{}, nil
	}
	r := spec.Resource{ID: "phase", Command: &spec.Command{Argv: []string{"phase"}, EachRun: true}}
	f.env.Run = "r1"
	f.converge(t, r)
	f.settled(t, r)
	f.env.Run = "r2"
	f.converge(t, r)
	if ran != 2 {
		t.Errorf("ran %d times in two runs", ran)
	}
}

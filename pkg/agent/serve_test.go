package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

func apply(rs ...spec.Resource) wire.Header {
	return wire.Header{Type: wire.TApply, Apply: &wire.Apply{Run: "run-1", Version: "v0.1.0", Resources: rs}}
}

func plan(rs ...spec.Resource) wire.Header {
	return wire.Header{Type: wire.TPlan, Plan: &wire.Plan{Resources: rs}}
}

func file(path, content string) spec.Resource {
	return spec.Resource{ID: "file " + path, File: &spec.File{Path: path, Mode: 0o644, Content: []byte(content)}}
}

func TestReadOnlyRefusesEveryChange(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before := list(t, h.Root)
	c := start(t, t.Context(), h, wire.ReadOnly, h)
	c.wantKind(c.lock(), diag.ReadOnly)
	c.wantKind(c.call(apply(file("/etc/x", "x"))), diag.ReadOnly)
	c.wantKind(c.call(wire.Header{Type: wire.TPut, Put: &wire.Put{Digest: digest(nil)}}), diag.ReadOnly)
	if rep := c.must(plan(file("/etc/x", "x"))); len(rep.Changes) != 1 {
		t.Errorf("plan = %+v", rep)
	}
	if rep := c.must(wire.Header{Type: wire.TFacts}); rep.Facts.OS.ID != "debian" || rep.Facts.CPU.Logical != 2 {
		t.Errorf("facts = %+v", rep.Facts)
	}
	c.must(wire.Header{Type: wire.THas, Has: &wire.Has{Digests: []string{digest(nil)}}})
	if rep := c.must(wire.Header{Type: wire.TRead, Read: &wire.Read{Path: "/etc/machine-id", Max: 4}}); string(rep.Content) != "0123" {
		t.Errorf("read = %q", rep.Content)
	}
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	if after := list(t, h.Root); after != before {
		t.Errorf("a read-only agent changed the host:\n%s", after)
	}
}

func list(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(root, func(p string, fi os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		b.WriteString(p + " " + fi.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestApplyNeedsTheLock(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := start(t, t.Context(), h, wire.ReadWrite, h)
	c.wantKind(c.call(apply(file("/etc/x", "x"))), diag.Locked)
	if rep := c.lock(); rep.Error != nil {
		t.Fatal(rep.Error)
	}
	second := start(t, t.Context(), h, wire.ReadWrite, h)
	rep := second.lock()
	second.wantKind(rep, diag.Locked)
	if !strings.Contains(rep.Error.Error(), "ann@desk") || rep.Error.Hint == "" {
		t.Errorf("refusal = %v", rep.Error)
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if rep := second.lock(); rep.Error != nil {
		t.Errorf("after the holder ended: %v", rep.Error)
	}
}

func TestApplyTellsAndWritesTheJournal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := start(t, t.Context(), h, wire.ReadWrite, h)
	c.lock()
	if err := h.WriteFile("/etc/theirs", "x"); err != nil {
		t.Fatal(err)
	}
	boom := spec.Resource{ID: "boom", Command: &spec.Command{Argv: []string{"boom"}}}
	h.Commands["boom"] = func(context.Context, resource.Cmd) (resource.Result, error) { return resource.Result{Code: 1}, nil }
	rep := c.call(apply(file("/etc/x", "x"), boom, file("/etc/never", "x")))
	c.wantKind(rep, diag.Command)
	if len(rep.Changes) != 1 || h.ReadFile("/etc/x") != "x" || h.ReadFile("/etc/never") != "" {
		t.Errorf("changes = %+v", rep.Changes)
	}
	if len(c.events) != 3 || c.events[1].Change == nil || c.events[2].Resource != "boom" {
		t.Errorf("events = %+v", c.events)
	}
	var entries []agent.Entry
	for line := range strings.Lines(h.ReadFile("/var/lib/kforge/journal.jsonl")) {
		var e agent.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if len(entries) != 2 || entries[0].Outcome != "ok" || entries[0].Run != "run-1" || !strings.Contains(entries[1].Outcome, "exit status 1") {
		t.Errorf("journal = %+v", entries)
	}
	if rep := c.must(wire.Header{Type: wire.TFacts}); len(rep.Facts.Kubernetes.Interrupted) != 1 {
		t.Errorf("interrupted = %v", rep.Facts.Kubernetes.Interrupted)
	}
	if rep := c.must(apply(file("/etc/x", "x"))); len(rep.Changes) != 0 {
		t.Errorf("second apply = %+v", rep.Changes)
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := h.WriteFile("/var/lib/kforge/blobs/.put-OLD", "half"); err != nil {
		t.Fatal(err)
	}
	c := start(t, t.Context(), h, wire.ReadWrite, h)
	c.lock()
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	c.wantKind(c.put(content, digest([]byte("other")), int64(len(content))), diag.Digest)
	c.wantKind(c.put(content, digest(content), int64(len(content))-1), diag.Transport)
	c.wantKind(c.put(nil, digest(content), 1<<60), diag.NoSpace)
	c.wantKind(c.put(nil, "sha256:../../etc/passwd", 1), diag.Invalid)
	if rep := c.put(content, digest(content), int64(len(content))); rep.Error != nil {
		t.Fatal(rep.Error)
	}
	if rep := c.put(content, digest(content), int64(len(content))); rep.Error != nil {
		t.Errorf("a second time: %v", rep.Error)
	}
	if rep := c.must(wire.Header{Type: wire.THas, Has: &wire.Has{Digests: []string{digest(content), digest(nil)}}}); len(rep.Missing) != 1 || rep.Missing[0] != digest(nil) {
		t.Errorf("missing = %v", rep.Missing)
	}
	// Given up half way.
	id := c.send(wire.Header{Type: wire.TPut, Put: &wire.Put{Digest: digest([]byte("xy")), Size: 2}})
	if err := c.w.Write(wire.Header{ID: id, Type: wire.TData}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.w.Write(wire.Header{ID: id, Type: wire.TCancel}, nil); err != nil {
		t.Fatal(err)
	}
	c.wantKind(c.reply(id), diag.Canceled)
	names, err := filepath.Glob(filepath.Join(h.Root, "/var/lib/kforge/blobs/*"))
	hidden, _ := filepath.Glob(filepath.Join(h.Root, "/var/lib/kforge/blobs/.*"))
	if err != nil || len(names) != 1 || len(hidden) != 0 {
		t.Errorf("store holds %v %v", names, hidden)
	}
	blob := spec.Blob{Digest: digest(content), Size: int64(len(content)), Name: "tool"}
	c.must(apply(spec.Resource{ID: "tool", File: &spec.File{Path: "/usr/local/bin/tool", Mode: 0o755, Blob: &blob}}))
	if rep := c.must(wire.Header{Type: wire.THas, Has: &wire.Has{Digests: []string{digest(content)}}}); len(rep.Missing) != 1 {
		t.Error("a used blob is still there")
	}
}

func TestCancelAndOrder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.Commands["wait"] = func(ctx context.Context, c resource.Cmd) (resource.Result, error) {
		c.Line("waiting")
		<-ctx.Done()
		return resource.Result{}, context.Cause(ctx)
	}
	c := start(t, t.Context(), h, wire.ReadWrite, h)
	c.lock()
	id := c.send(apply(spec.Resource{ID: "wait", Command: &spec.Command{Argv: []string{"wait"}}}))
	for c.event().Output == "" {
	}
	// A second apply waits for its turn; what only looks does not.
	next := c.send(apply(file("/etc/x", "x")))
	c.must(wire.Header{Type: wire.TPing})
	if h.ReadFile("/etc/x") != "" {
		t.Error("two applies ran at once")
	}
	if err := c.w.Write(wire.Header{ID: id, Type: wire.TCancel}, nil); err != nil {
		t.Fatal(err)
	}
	c.wantKind(c.reply(id), diag.Canceled)
	if rep := c.reply(next); rep.Error != nil || h.ReadFile("/etc/x") != "x" {
		t.Errorf("next apply = %v", rep.Error)
	}
}

func TestEndOfInputKillsChildren(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := start(t, t.Context(), h, wire.ReadWrite, resource.Exec{Grace: 200 * time.Millisecond})
	c.lock()
	mark := filepath.Join(h.Root, "alive")
	c.send(apply(spec.Resource{ID: "sleep", Command: &spec.Command{
		Argv: []string{"sh", "-c", `trap '' TERM; echo up; while :; do : > "$0"; sleep 0.05; done`, mark},
	}}))
	for c.event().Output == "" {
	}
	if err := c.end(); err != nil {
		t.Errorf("Serve = %v", err)
	}
	os.Remove(mark)
	time.Sleep(200 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("a child lives on after the agent")
	}
	// The next agent sees that it was interrupted.
	c = start(t, t.Context(), h, wire.ReadOnly, h)
	if rep := c.must(wire.Header{Type: wire.TFacts}); len(rep.Facts.Kubernetes.Interrupted) != 1 {
		t.Errorf("interrupted = %v", rep.Facts.Kubernetes.Interrupted)
	}
}

func TestContextEndsServe(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := start(t, ctx, h, wire.ReadOnly, h)
	cancel()
	if err := c.wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve = %v, want canceled", err)
	}
}

func TestSilentClientLosesTheLock(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := agent.Options{Root: h.Root, Mode: wire.ReadWrite, Runner: h, DeadAfter: 200 * time.Millisecond}
	c := startWith(t, t.Context(), o)
	c.lock()
	c.must(wire.Header{Type: wire.TPing})
	// A client that never pings is not held to it.
	quiet := startWith(t, t.Context(), o)
	if err := c.wait(); diag.KindOf(err) != diag.Transport {
		t.Errorf("Serve = %v, want an error of kind transport", err)
	}
	if rep := quiet.lock(); rep.Error != nil {
		t.Errorf("lock after the silent client: %v", rep.Error)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c := start(t, t.Context(), h, wire.ReadWrite, h)
	c.lock()
	c.wantKind(c.call(wire.Header{Type: "dance"}), diag.Internal)
	c.wantKind(c.call(wire.Header{Type: wire.TApply}), diag.Internal)
	c.wantKind(c.call(apply(spec.Resource{ID: "nothing"})), diag.Internal)
	c.wantKind(c.call(wire.Header{Type: wire.TRead, Read: &wire.Read{Path: "/no/such", Max: 1}}), diag.NotFound)
	c.wantKind(c.call(wire.Header{Type: wire.TRead, Read: &wire.Read{Path: "/etc", Max: 1}}), diag.Unsupported)
	if err := c.w.Write(wire.Header{Type: wire.TData, ID: 999}, []byte("nobody's")); err != nil {
		t.Fatal(err)
	}
	h.Commands["panic"] = func(context.Context, resource.Cmd) (resource.Result, error) { panic("defect") }
	c.wantKind(c.call(apply(spec.Resource{ID: "p", Command: &spec.Command{Argv: []string{"panic"}}})), diag.Internal)
	c.must(wire.Header{Type: wire.TPing}) // and it still serves
}

// What is ours goes with the agent that cleaned the host, its program and journal
// too; whatever is applied after that makes the host ours again.
func TestACleanedHostIsLeft(t *testing.T) {
	t.Parallel()
	owned := spec.Resource{ID: "owned", Owned: &spec.Owned{}}
	for _, again := range []bool{false, true} {
		h := newHost(t)
		c := start(t, t.Context(), h, wire.ReadWrite, h)
		c.lock()
		c.must(apply(file("/etc/x", "x")))
		if rep := c.must(apply(owned)); len(rep.Changes) != 1 || h.ReadFile("/etc/x") != "" {
			t.Errorf("changes = %+v", rep.Changes)
		}
		if again {
			c.must(apply(file("/etc/y", "y")))
		}
		if err := c.end(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(h.Root, "/var/lib/kforge")); (err == nil) != again {
			t.Errorf("applied again: %v, /var/lib/kforge: %v", again, err)
		}
	}
}

package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func clock() func() time.Time {
	t := time.Date(2026, 11, 23, 15, 49, 13, 0, time.UTC)
	return func() time.Time { return t }
}

type keeper struct {
	events []event.Event
	closed bool
	gate   chan struct{} // when set, the first event waits for it
}

func (k *keeper) Event(e event.Event) {
	if k.gate != nil && len(k.events) == 0 {
		<-k.gate
	}
	k.events = append(k.events, e)
}
func (k *keeper) Close() { k.closed = true }

func TestARunIsRecordedAndReadBack(t *testing.T) {
	t.Parallel()
	j, err := Open(filepath.Join(t.TempDir(), "state", "runs"), "node add", "lab/../x", clock())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^20261123T154913Z-node-add-lab-..-x-[a-z2-7]{6}$`).MatchString(j.ID()) {
		t.Errorf("ID = %q", j.ID())
	}
	k := &keeper{}
	j.Attach(k)
	sink := j.Sink()
	sink(event.Event{Event: event.RunStart, Command: "apply", Cluster: "lab", Version: "v0.1.0", Hosts: []string{"n1"}})
	sink(event.Event{Event: event.StepStart, Host: "n1", Step: "n1/containerd", Title: "install containerd v2.4.2"})
	sink(event.Event{Event: event.Progress, Host: "n1", Step: "n1/containerd", Title: "upload", Done: 1, Total: 2})
	sink(event.Event{Event: event.Output, Host: "n1", Step: "n1/containerd", Text: "hello\x1b[2J & <b>"})
	sink(event.Event{Event: event.Change, Host: "n1", Step: "n1/containerd", Change: &spec.Change{Resource: "file /etc/a", Action: spec.Update, Diff: "-a\n+b\n"}})
	sink(event.Event{Event: event.StepDone, Host: "n1", Step: "n1/containerd", Title: "install containerd v2.4.2", Status: event.Failed, Seconds: 2.14, Error: diag.New(diag.NoSpace, "write file", "disk full").WithHint("free some space")})
	sink(event.Event{Event: event.Summary, SummaryData: &event.SummaryData{Changed: 1, Failed: 1}})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	sink(event.Event{Event: event.Notice, Text: "too late"})

	got, err := Read(j.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 || got[6].Seq != 7 || got[0].Run != j.ID() || got[5].Error.Hint != "free some space" || got[6].SummaryData.Failed != 1 {
		t.Errorf("Read = %+v", got)
	}
	if d := cmp.Diff(got, k.events); d != "" || !k.closed {
		t.Errorf("the renderer saw something else (-record +renderer), closed=%t:\n%s", k.closed, d)
	}
	log, err := os.ReadFile(j.LogPath())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`T - run ID: kforge v0.1.0, apply of cluster lab, 1 hosts
T n1 n1/containerd start: install containerd v2.4.2
T n1 n1/containerd | hello\x1b[2J & <b>
T n1 n1/containerd change: update file /etc/a
T n1 n1/containerd -a
T n1 n1/containerd +b
T n1 n1/containerd failed: install containerd v2.4.2, 0 changes, 2.1s
T n1 n1/containerd error: write file: disk full
T n1 n1/containerd fix: free some space
T - end: 1 changes, 1 hosts failed, 0 unreachable, 0 skipped
`, "T ", "2026-11-23T15:49:13Z ")
	if d := cmp.Diff(strings.Replace(want, "ID", j.ID(), 1), string(log)); d != "" {
		t.Errorf("run.log (-want +got):\n%s", d)
	}
	for _, p := range []string{j.EventsPath(), j.LogPath()} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", p, info.Mode(), err)
		}
	}
}

func TestAStuckRendererHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	j, err := Open(t.TempDir(), "apply", "lab", clock())
	if err != nil {
		t.Fatal(err)
	}
	stuck, free := &keeper{gate: make(chan struct{})}, &keeper{}
	j.Attach(stuck)
	j.Attach(free)
	for range 3 * backlog {
		j.Sink()(event.Event{Event: event.Output, Text: "x"})
	}
	j.Sink()(event.Event{Event: event.Summary})
	close(stuck.gate)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	n := len(stuck.events)
	if n > 2*backlog+2 || stuck.events[n-1].Event != event.Summary {
		t.Errorf("the stuck renderer saw %d events, the last %s; want fewer and the summary", n, stuck.events[n-1].Event)
	}
	if events, err := Read(j.Dir()); err != nil || len(events) != 3*backlog+1 {
		t.Errorf("%d events on disk, %v", len(events), err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		events     int
		kind       diag.Kind
		line       int
	}{
		{"whole", "{\"event\":\"phase\"}\n{\"event\":\"summary\"}\n", 2, "", 0},
		{"no last newline", "{\"event\":\"phase\"}\n{\"event\":\"summary\"}", 2, "", 0},
		{"cut last line", "{\"event\":\"phase\"}\n{\"event\":\"summ", 1, "", 0},
		{"bad line", "{\"event\":\"phase\"}\nnot json\n{\"event\":\"summary\"}\n", 0, diag.Invalid, 2},
		{"empty", "", 0, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.jsonl")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			events, err := Read(path)
			if len(events) != tt.events || diag.KindOf(err) != tt.kind {
				t.Errorf("Read = %d events, %v", len(events), err)
			}
			if tt.line > 0 && !strings.Contains(err.Error(), fmt.Sprintf("%s:%d", path, tt.line)) {
				t.Errorf("error %q does not tell line %d", err, tt.line)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); diag.KindOf(err) != diag.NotFound {
		t.Errorf("Read of nothing = %v", err)
	}
}

func TestTheNewestRunsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	for i := range Keep + 5 {
		run := filepath.Join(dir, fmt.Sprintf("202611%02dT000000Z-plan-lab-%06d", 1+i%28, i))
		if err := os.Mkdir(run, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(run, EventsFile)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now, now.Add(-time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := Open(dir, "apply", "lab", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != Keep+1 {
		t.Fatalf("%d entries, %v; want %d runs and what is not ours", len(entries), err, Keep)
	}
	for _, e := range entries {
		for i := Keep - 1; i < Keep+5; i++ {
			if strings.HasSuffix(e.Name(), fmt.Sprintf("-%06d", i)) {
				t.Errorf("%s is kept, though it is among the oldest", e.Name())
			}
		}
	}
}

func TestDefaultDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	if dir, err := DefaultDir(); err != nil || dir != "/state/kforge/runs" {
		t.Errorf("DefaultDir = %q, %v", dir, err)
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", "/home/me")
	if dir, err := DefaultDir(); err != nil || dir != "/home/me/.local/state/kforge/runs" {
		t.Errorf("DefaultDir = %q, %v", dir, err)
	}
}

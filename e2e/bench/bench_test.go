package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/pkg/event"
)

var update = flag.Bool("update", false, "write golden files")

func TestMedianAndWorst(t *testing.T) {
	t.Parallel()
	same := func(v float64) float64 { return v }
	for _, c := range []struct {
		list          []float64
		median, worst float64
	}{
		{nil, 0, 0},
		{[]float64{7}, 7, 7},
		{[]float64{9, 1, 4}, 4, 9},
		{[]float64{4, 1, 3, 10}, 3.5, 10},
		{[]float64{-4, -1}, -2.5, -1},
	} {
		if got := median(c.list, same); got != c.median {
			t.Errorf("median(%v) = %v, want %v", c.list, got, c.median)
		}
		if got := worst(c.list, same); got != c.worst {
			t.Errorf("worst(%v) = %v, want %v", c.list, got, c.worst)
		}
	}
}

func TestFigureLine(t *testing.T) {
	t.Parallel()
	goal := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		figure figure
		want   string
	}{
		{figure{Name: "apply-ratio", Value: 1.1499, Unit: "x", Decimals: 3, Goal: goal(1.15)}, "apply-ratio 1.150 x goal <=1.15 OK"},
		// Rounding does not reach a goal.
		{figure{Name: "apply-ratio", Value: 1.1501, Unit: "x", Decimals: 3, Goal: goal(1.15)}, "apply-ratio 1.150 x goal <=1.15 SHORT"},
		{figure{Name: "changes", Value: 0, Unit: "changes", Goal: goal(0)}, "changes 0 changes goal <=0 OK"},
		{figure{Name: "changes", Value: 1, Unit: "changes", Goal: goal(0)}, "changes 1 changes goal <=0 SHORT"},
		{figure{Name: "apply-seconds", Value: 51.26, Unit: "s", Decimals: 1}, "apply-seconds 51.3 s goal none OK"},
	} {
		if got := c.figure.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

var pairs = []pair{
	{Floor: timing{Total: 40, Ready: 30}, Apply: timing{Total: 60, Ready: 33, Idle: 0.126}, Memory: 150e6, Second: second{Seconds: 1, Connections: 1, Sessions: 2}},
	{
		Floor:  timing{Total: 50, Ready: 40, Phases: []span{{"n1: programs", 0, 7.5}, {"wait for Ready", 7.5, 40}}},
		Apply:  timing{Total: 55, Ready: 42, Phases: []span{{"connect", 0, 0.4}, {"prepare", 1.1, 8.25}}},
		Memory: 160e6, Second: second{Seconds: 4, Connections: 2, Sessions: 2},
	},
	{Floor: timing{Total: 40, Ready: 30}, Apply: timing{Total: 40, Ready: 36}, Memory: 140e6, Second: second{Seconds: 2, Connections: 1, Sessions: 3}},
}

func TestFigures(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range figures(pairs, map[string]int{"amd64": 3_842_174, "arm64": 9_000_000}) {
		got = append(got, f.String())
	}
	want := []string{
		"apply-ratio 1.100 x goal <=1.15 OK",
		"apply-seconds 55.00 s goal none OK",
		"floor-seconds 40.00 s goal none OK",
		"ready-ratio 1.100 x goal <=1.15 OK",
		"second-apply-seconds 2.00 s goal <=3 OK",
		"second-apply-connections-per-host 2 connections goal <=1 SHORT",
		"second-apply-sessions-per-host 3 sessions goal <=3 OK",
		"second-apply-mutating-requests 0 requests goal <=0 OK",
		"second-apply-changes 0 changes goal <=0 OK",
		"agent-size-amd64 3.84 MB goal <=8 OK",
		"agent-size-arm64 9.00 MB goal <=8 SHORT",
		"kforge-peak-memory 160.0 MB goal none OK",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	got := page(report{
		Date: "2026-01-02", Kforge: "v0.1.0 linux/amd64 go1.26.0", Machine: machine{CPU: "Some CPU", Cores: 4, Memory: 16e9, Kernel: "6.12.1"},
		Versions: artifact.Versions{
			Kubernetes: "v1.37.2", Etcd: "v3.7.0", CoreDNS: "v1.14.6", Containerd: "v2.4.2", Runc: "v1.5.2", CNI: "v1.9.1", Flannel: "v0.26.7",
		},
		Figures: figures(pairs, map[string]int{"amd64": 3_842_174, "arm64": 9_000_000}), Pairs: pairs,
	})
	golden := filepath.Join("testdata", "page.golden.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
}

func TestTypical(t *testing.T) {
	t.Parallel()
	if got := typical(nil); got != -1 {
		t.Errorf("of none: %d", got)
	}
	if got := typical(pairs); got != 1 {
		t.Errorf("of three: %d, want 1", got)
	}
	if got := typical(pairs[:2]); got != 1 {
		t.Errorf("of two: %d, want the lower one, 1", got)
	}
}

func TestParseFloor(t *testing.T) {
	t.Parallel()
	got, err := parseFloor(`download (not counted)          0.0 s
n1: programs, containerd        7.5 s
wait for Ready                  4.5 s
wait for flannel, CoreDNS      10.0 s
total                          22.1 s
`)
	if err != nil {
		t.Fatal(err)
	}
	want := timing{Total: 22.1, Ready: 12, Phases: []span{
		{"n1: programs, containerd", 0, 7.5}, {"wait for Ready", 7.5, 12}, {"wait for flannel, CoreDNS", 12, 22},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, text := range []string{"", "total 5.0 s\n", "wait for Ready 5.0 s\n", "node/n1 condition met\n"} {
		if got, err := parseFloor(text); err == nil {
			t.Errorf("parseFloor(%q) = %+v, want an error", text, got)
		}
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(seconds int, e event.Event) event.Event {
		e.Time = start.Add(time.Duration(seconds) * time.Second)
		return e
	}
	r := result{start: start, end: start.Add(20 * time.Second), events: []event.Event{
		at(1, event.Event{Event: event.Phase, Title: "connect"}),
		at(2, event.Event{Event: event.Phase, Title: "plan"}),
		at(3, event.Event{Event: event.Graph}),
		at(3, event.Event{Event: event.StepStart, Host: "n1", Step: "n1/prepare", Phase: "prepare"}),
		at(5, event.Event{Event: event.StepStart, Host: "n1", Step: "n1/ready", Phase: "join"}),
		at(6, event.Event{Event: event.StepDone, Host: "n2", Step: "n2/prepare", Phase: "prepare"}),
		at(9, event.Event{Event: event.StepDone, Host: "n1", Step: "n1/ready", Phase: "join"}),
		at(8, event.Event{Event: event.StepDone, Host: "n2", Step: "n2/ready", Phase: "join"}),
		at(12, event.Event{Event: event.StepStart, Step: "cluster/ready", Phase: "addons"}),
		at(19, event.Event{Event: event.StepDone, Step: "cluster/ready", Phase: "addons"}),
		at(20, event.Event{Event: event.Summary, SummaryData: &event.SummaryData{}}),
	}}
	got, err := r.timing()
	if err != nil {
		t.Fatal(err)
	}
	want := timing{Total: 20, Ready: 9, Phases: []span{
		{"connect", 1, 2}, {"plan", 2, 3}, {"prepare", 3, 6}, {"join", 5, 9}, {"addons", 12, 19},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := (result{start: start, events: r.events[:4]}).timing(); err == nil {
		t.Error("a run without a ready node gave a timing")
	}
}

func TestReadEvents(t *testing.T) {
	t.Parallel()
	events, err := readEvents(strings.NewReader(`{"event":"run-start","seq":1}
{"event":"progress","done":5}
a table
{"event":"summary","changed":3,"mutating":2}
`))
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	s, err := result{events: events}.summary()
	if err != nil || s.Changed != 3 || s.Mutating != 2 {
		t.Errorf("summary %+v, %v", s, err)
	}
	if _, err := (result{events: events[:1]}).summary(); err == nil {
		t.Error("a run without a summary gave one")
	}
}

func TestCountLogins(t *testing.T) {
	t.Parallel()
	connections, sessions := countLogins(`Connection from 10.0.0.1 port 50018 on 10.0.0.2 port 22 rdomain ""
Accepted key ED25519 SHA256:x found at /root/.ssh/authorized_keys:1
Postponed publickey for root from 10.0.0.1 port 50018 ssh2 [preauth]
Accepted publickey for root from 10.0.0.1 port 50018 ssh2: ED25519 SHA256:x
pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)
User child is on pid 2210
Starting session: command for root from 10.0.0.1 port 50018 id 0
Starting session: subsystem 'sftp' for root from 10.0.0.1 port 50018 id 1
Close session: user root from 10.0.0.1 port 50018 id 0
Connection closed by 10.0.0.1 port 50018
`)
	if connections != 1 || sessions != 2 {
		t.Errorf("%d connections, %d sessions, want 1 and 2", connections, sessions)
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	if got := field("processor\t: 0\nmodel name\t: Some CPU: fast\nmodel name\t: Other\n", "model name"); got != "Some CPU: fast" {
		t.Errorf("field() = %q", got)
	}
	m, err := describeMachine()
	if err != nil || m.Cores < 1 || m.Memory < 1<<20 || m.Kernel == "" || strings.Contains(m.Kernel, "-") {
		t.Errorf("describeMachine() = %+v, %v", m, err)
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	before, err := parseCPU("cpu  100 0 50 800 50 0 0 0 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	if err != nil {
		t.Fatal(err)
	}
	now, err := parseCPU("cpu  200 0 100 820 80 0 0 0 7 7\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := now.idleShare(before); got != 0.25 {
		t.Errorf("%v is idle, want a quarter", got)
	}
	if got := before.idleShare(before); got != 0 {
		t.Errorf("%v is idle of no time", got)
	}
	for _, text := range []string{"", "cpu 1 2 3\n", "cpu a 0 0 0 0 0 0 0\n"} {
		if _, err := parseCPU(text); err == nil {
			t.Errorf("parseCPU(%q) gave no error", text)
		}
	}
	if _, err := (cpuTimes{}).idleSince(); err != nil {
		t.Error(err)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-pairs", "0"}, {"-nonsense"}} {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), args, &stdout, &stderr); err == nil || stdout.Len() > 0 {
			t.Errorf("run(%v) = %v, printed %q", args, err, stdout.String())
		}
	}
}

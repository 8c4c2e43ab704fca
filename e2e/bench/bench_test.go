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

	"kforge.dev/kforge/e2e/fleet/speed"
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
	for _, c := range []struct {
		figure figure
		want   string
	}{
		{figure{Name: "apply-ratio", Value: 1.1499, Unit: "x", Decimals: 3, Goal: goal(1.15)}, "apply-ratio 1.150 x goal <=1.15 OK"},
		// Rounding does not reach a goal.
		{figure{Name: "apply-ratio", Value: 1.1501, Unit: "x", Decimals: 3, Goal: goal(1.15)}, "apply-ratio 1.150 x goal <=1.15 SHORT"},
		{figure{Name: "changes", Value: 0, Unit: "changes", Goal: goal(0)}, "changes 0 changes goal <=0 OK"},
		{figure{Name: "changes", Value: 1, Unit: "changes", Goal: goal(0)}, "changes 1 changes goal <=0 SHORT"},
		{figure{Name: "ansible-ratio", Value: 19.99, Unit: "x", Decimals: 1, Goal: goal(20), AtLeast: true}, "ansible-ratio 20.0 x goal >=20 SHORT"},
		{figure{Name: "ansible-ratio", Value: 20, Unit: "x", Decimals: 1, Goal: goal(20), AtLeast: true}, "ansible-ratio 20.0 x goal >=20 OK"},
		{figure{Name: "apply-seconds", Value: 51.26, Unit: "s", Decimals: 1}, "apply-seconds 51.3 s goal none OK"},
	} {
		if got := c.figure.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

var pairs = []pair{
	{Floor: timing{Total: 40, Ready: 30}, Apply: timing{Total: 60, Ready: 33, Idle: 0.126}, Memory: 150e6, Second: second{Seconds: 1, Connections: 1, Sessions: 2}, Add: added{timing{Total: 10}, timing{Total: 11}}},
	{
		Floor:  timing{Total: 50, Ready: 40, Phases: []span{{"n1: programs", 0, 7.5}, {"wait for Ready", 7.5, 40}}},
		Apply:  timing{Total: 55, Ready: 42, Phases: []span{{"connect", 0, 0.4}, {"prepare", 1.1, 8.25}}},
		Memory: 160e6, Second: second{Seconds: 4, Connections: 2, Sessions: 2}, Add: added{timing{Total: 10}, timing{Total: 12.5}},
	},
	{Floor: timing{Total: 40, Ready: 30}, Apply: timing{Total: 40, Ready: 36}, Memory: 140e6, Second: second{Seconds: 2, Connections: 1, Sessions: 3}, Add: added{timing{Total: 20}, timing{Total: 20}}},
}

var lab = labPart{
	description: description{Date: "2026-01-02", Kforge: "v0.1.0 linux/amd64 go1.26.0", Machine: machine{CPU: "Some CPU", Cores: 4, Memory: 16e9, Kernel: "6.12.1"}},
	Versions: artifact.Versions{
		Kubernetes: "v1.37.2", Etcd: "v3.7.0", CoreDNS: "v1.14.6", Containerd: "v2.4.2", Runc: "v1.5.2", CNI: "v1.9.1", Flannel: "v0.26.7",
	},
	Agents: map[string]int{"amd64": 3_842_174, "arm64": 9_000_000}, Pairs: pairs,
}

var ofFleet = fleetPart{
	description: lab.description, Ansible: "core 2.14.18",
	Runs: []speed.Run{
		{Command: "check", Hosts: 100, Wall: 1.5, CPU: 0.5, HostsCPU: 1, Others: 0.01, Peak: 80e6, Connections: 1, Sessions: 1},
		{Command: "check", Hosts: 100, Wall: 2.5, CPU: 0.6, HostsCPU: 1, Peak: 81e6, Connections: 1, Sessions: 1},
		{Command: "check", Hosts: 1000, Wall: 30, CPU: 5, HostsCPU: 8, Peak: 260e6, Connections: 2, Sessions: 4},
		{Command: "plan", Hosts: 100, Wall: 1, Peak: 90e6},
		{Command: "plan", Hosts: 1000, Wall: 9, Peak: 240e6},
	},
	Beside: []speed.Run{{Command: "check", Hosts: 100, Wall: 20, Elsewhere: 1.7}, {Command: "check", Hosts: 100, Wall: 21, Elsewhere: 1.9}},
	Turns:  []speed.Run{{Command: "check", Hosts: 30, Wall: 0.5, Connections: 1, Sessions: 1}, {Command: "ansible", Hosts: 30, Wall: 12, Connections: 1, Sessions: 9}},
}

func lines(list []figure) (out []string) {
	for _, f := range list {
		out = append(out, f.String())
	}
	return out
}

func TestFleetFigures(t *testing.T) {
	t.Parallel()
	want := []string{
		"check-100-seconds 2.00 s goal <=3 OK",
		"check-1000-seconds 30.00 s goal <=25 SHORT",
		"check-growth 15.00 x goal <=10 SHORT",
		"check-1000-cpu-seconds 5.00 s goal none OK",
		"check-1000-peak-memory 260.0 MB goal <=250 SHORT",
		"check-connections-per-host 2 connections goal <=1 SHORT",
		"check-sessions-per-host 4 sessions goal <=3 SHORT",
		"check-100-beside-slow-host-seconds 1.90 s goal <=3 OK",
		"plan-100-seconds 1.00 s goal none OK",
		"plan-1000-seconds 9.00 s goal none OK",
		"plan-1000-peak-memory 240.0 MB goal <=250 OK",
		"check-30-seconds 0.50 s goal none OK",
		"ansible-30-seconds 12.00 s goal none OK",
		"ansible-ratio 24.0 x goal >=20 OK",
	}
	if d := cmp.Diff(want, lines(ofFleet.figures())); d != "" {
		t.Error(d)
	}
	alone := ofFleet
	alone.Turns = nil
	if d := cmp.Diff(want[:11], lines(alone.figures())); d != "" {
		t.Errorf("without Ansible: %s", d)
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	got := lines(lab.figures())
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
		"node-add-ratio 1.100 x goal <=1.2 OK",
		"node-add-seconds 12.50 s goal none OK",
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
	got := page(report{Lab: &lab, Fleet: &ofFleet})
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

// The page in docs is what the kept results make.
func TestDocsAreInStep(t *testing.T) {
	t.Parallel()
	want, err := pageOf("results")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "performance.md")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("docs/performance.md is not of the results that are kept (go test ./e2e/bench -update writes it): %s", d)
	}
}

func TestKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var got fleetPart
	if ok, err := kept(dir, "fleet", &got); ok || err != nil {
		t.Errorf("of nothing: %v, %v", ok, err)
	}
	if err := keep(dir, "fleet", ofFleet); err != nil {
		t.Fatal(err)
	}
	if ok, err := kept(dir, "fleet", &got); !ok || err != nil {
		t.Errorf("kept: %v, %v", ok, err)
	}
	if d := cmp.Diff(page(report{Fleet: &ofFleet}), page(report{Fleet: &got})); d != "" {
		t.Error(d)
	}
	if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pageOf(dir); err == nil {
		t.Error("broken results made a page")
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
	for _, args := range [][]string{{"-pairs", "0"}, {"-fleet-runs", "0"}, {"-only", "moon"}, {"-nonsense"}} {
		var stdout, stderr bytes.Buffer
		if err := run(t.Context(), args, &stdout, &stderr); err == nil || stdout.Len() > 0 {
			t.Errorf("run(%v) = %v, printed %q", args, err, stdout.String())
		}
	}
}

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kube/live"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

// ofThree is a cluster of two control planes and a worker.
func ofThree() *run.StatusView {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	v := &run.StatusView{
		Cluster: "lab", Inventory: "lab.yaml", Time: now, Verdict: run.Well, Version: "v1.37.2", Wanted: "v1.37.2",
		API:   run.APIView{Endpoint: "127.0.0.1:7443", Mode: "local", Admin: "10.0.0.1:6443", Answers: true},
		Drift: &run.DriftView{},
	}
	for _, name := range []string{"n1", "n2"} {
		v.Nodes = append(v.Nodes, run.NodeView{Name: name, State: run.NodeJoined, Roles: []string{"control-plane"}, NodeIP: "10.0.0.1", Ready: true,
			Version: "v1.37.2", Runtime: "containerd://2.4.2", Host: &run.HostView{Reached: true, Kubelet: true, Containerd: true}})
		v.Components = append(v.Components,
			run.ComponentView{Name: "kube-apiserver", Node: name, Version: "v1.37.2", Ready: true, State: "ready"},
			run.ComponentView{Name: "etcd", Node: name, Version: "3.7.0-0", Ready: true, State: "ready"})
		v.Certificates = append(v.Certificates,
			run.CertificateView{Host: name, Name: "ca", CA: true, End: now.AddDate(9, 0, 0)},
			run.CertificateView{Host: name, Name: "apiserver", End: now.AddDate(1, 0, len(v.Certificates))},
			run.CertificateView{Host: name, Name: "etcd-peer", Error: diag.New(diag.NotFound, "read", "none")})
	}
	v.Nodes = append(v.Nodes, run.NodeView{Name: "n3", State: run.NodeJoined, Roles: []string{"worker"}, NodeIP: "10.0.0.3", Ready: true,
		Version: "v1.37.2", Runtime: "containerd://2.4.2", Host: &run.HostView{Reached: true, Kubelet: true, Containerd: true}})
	members := []etcd.Member{{ID: 0xa1, Name: "n1", Healthy: true, Leader: true, Version: "3.7.0", Index: 7, DBSize: 2 << 20, DBInUse: 1 << 20},
		{ID: 0xa2, Name: "n2", Healthy: true, Version: "3.7.0", Index: 7, DBSize: 2 << 20, DBInUse: 1 << 20}}
	v.Etcd = &run.EtcdView{Members: members, Standing: etcd.Stand(members)}
	v.AddOns = []run.AddOnView{{Object: live.Object{Name: "coredns", Ready: true, State: "2/2 pods ready"}, Version: "v1.14.6"}}
	v.LastRun = &run.Record{Command: "apply", Time: now.Local(), User: "admin@desk", Result: event.Changed}
	v.LastRun.Time = time.Date(2026, 11, 25, 11, 0, 0, 0, time.Local)
	return v
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*run.StatusView){
		"well": func(*run.StatusView) {},
		"unwell": func(v *run.StatusView) {
			v.Verdict = run.Unwell
			v.Components[1] = run.ComponentView{Name: "etcd", Node: "n1", Version: "3.7.0-0", State: "etcd-n1: CrashLoopBackOff"}
			v.Nodes[2].Host = &run.HostView{}
			v.Nodes[1].Unschedulable = true
			v.Drift = &run.DriftView{Changes: 2, Hosts: map[string]int{"n2": 2}}
			v.Findings = []run.Finding{
				{Verdict: run.Unwell, Host: "n1", Text: "etcd: etcd-n1: CrashLoopBackOff", Hint: "look there"},
				{Verdict: run.Unreachable, Host: "n3", Text: "n3: dial 10.0.0.3:22: connection refused"},
				{Verdict: run.Drifted, Text: "apply would change 2 things: n2 2", Hint: "kforge plan lab.yaml"},
				{Verdict: run.Remark, Host: "n2", Text: "it is cordoned"},
			}
		},
		"down": func(v *run.StatusView) {
			v.Verdict, v.Version, v.API.Answers, v.Etcd, v.AddOns, v.LastRun = run.Unwell, "", false, nil, nil, nil
			for i := range v.Nodes {
				v.Nodes[i].State, v.Nodes[i].Ready, v.Nodes[i].NodeIP, v.Nodes[i].Runtime = run.NodeMissing, false, "", ""
			}
			for i := range v.Components {
				v.Components[i].Ready, v.Components[i].State = false, "not known"
			}
			v.Nodes[2].Host.Kubelet = false
			v.Drift.Error = diag.New(diag.Unreachable, "fetch", "no mirror")
			v.Findings = []run.Finding{{Verdict: run.Unwell, Text: "the API does not answer: connection refused"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ofThree()
			change(v)
			var b bytes.Buffer
			if err := showStatus(&b, v, ui.Options{}); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "status-"+name+".golden")
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), b.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestStatusCodes(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[run.Verdict]int{run.Well: 0, run.Unwell: 1, run.Drifted: 2, run.Unreachable: 3} {
		if got := statusCode(verdict); got != want {
			t.Errorf("%s ends with %d, want %d", verdict, got, want)
		}
	}
}

// --watch looks again and again, one object a line, until it is interrupted.
func TestStatusWatch(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("SSH_AUTH_SOCK", "")
	inventory := filepath.Join(dir, "lab.yaml")
	content := "apiVersion: kforge.dev/v1alpha1\nkind: Cluster\nmetadata: {name: lab}\nspec:\n  ssh: {user: root, port: 1}\n  hosts: {n1: 127.0.0.1}\n"
	if err := os.WriteFile(inventory, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	out, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		code <- Main(ctx, Streams{In: strings.NewReader(""), Out: write, Err: &stderr}, []string{"--state-dir", dir, "status", inventory, "--watch", "--interval", "1s", "-o", "json"})
		write.Close()
	}()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var times []time.Time
	for lines.Scan() {
		if len(times) == 2 { // the interruption, as every error in JSON
			if !strings.Contains(lines.Text(), `"kind":"canceled"`) {
				t.Errorf("the last line is %s", lines.Text())
			}
			continue
		}
		var v run.StatusView
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil || v.Cluster != "lab" || v.Verdict != run.Unwell {
			t.Errorf("%v: %s", err, lines.Text())
		}
		if times = append(times, v.Time); len(times) == 2 {
			cancel()
		}
	}
	if got := <-code; got != ExitInterrupted || len(times) < 2 || !times[1].After(times[0]) {
		t.Errorf("it ended with %d after looks at %v:\n%s", got, times, stderr.String())
	}
}

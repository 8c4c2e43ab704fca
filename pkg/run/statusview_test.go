package run

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/kube/live"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	well := func() *StatusView {
		return &StatusView{
			Cluster: "lab", Inventory: "lab.yaml", Time: now, Version: "v1.37.2", Wanted: "v1.37.2", API: APIView{Answers: true},
			Nodes:        []NodeView{{Name: "n1", State: NodeJoined, Ready: true, Version: "v1.37.2", Host: &HostView{Reached: true, Kubelet: true, Containerd: true, joined: true}}},
			Components:   []ComponentView{{Name: "etcd", Node: "n1", Ready: true}},
			Etcd:         &EtcdView{},
			Certificates: []CertificateView{{Host: "n1", Name: "apiserver", End: now.AddDate(1, 0, 0)}},
			AddOns:       []AddOnView{{Object: live.Object{Kind: "Deployment", Namespace: "kube-system", Name: "coredns", Ready: true}}},
			Drift:        &DriftView{},
			LastRun:      &Record{Command: "apply", Result: event.Changed},
		}
	}
	refused := diag.New(diag.Unreachable, "dial", "refused").WithHint("start it")
	for name, tc := range map[string]struct {
		change func(*StatusView)
		want   Verdict
		text   string // of the worst finding
	}{
		"well":                {func(*StatusView) {}, Well, ""},
		"API down":            {func(v *StatusView) { v.API = APIView{Error: refused} }, Unwell, "the API does not answer: dial: refused"},
		"API tells a part":    {func(v *StatusView) { v.API.Error = refused }, Unwell, "the API does not tell all"},
		"API not ready":       {func(v *StatusView) { v.API.Unready = "not ready: etcd" }, Unwell, "not ready: etcd"},
		"another version":     {func(v *StatusView) { v.Version = "v1.36.3" }, Drifted, "the API server is v1.36.3"},
		"another kubelet":     {func(v *StatusView) { v.Nodes[0].Version = "v1.36.3" }, Drifted, "its kubelet is v1.36.3"},
		"not joined":          {func(v *StatusView) { v.Nodes[0] = NodeView{Name: "n1", State: NodeMissing} }, Drifted, "no node of the cluster"},
		"unknown node":        {func(v *StatusView) { v.Nodes[0].State = NodeUnknown }, Drifted, "not in the inventory"},
		"not ready":           {func(v *StatusView) { v.Nodes[0].Ready = false }, Unwell, "the node is not ready"},
		"pressure":            {func(v *StatusView) { v.Nodes[0].Why = "tainted: disk pressure" }, Unwell, "disk pressure"},
		"cordoned":            {func(v *StatusView) { v.Nodes[0].Unschedulable = true }, Well, "cordoned"},
		"out of reach":        {func(v *StatusView) { v.Nodes[0].Host = &HostView{Error: refused} }, Unreachable, "refused"},
		"no kubelet":          {func(v *StatusView) { v.Nodes[0].Host.Kubelet = false }, Unwell, "the kubelet does not run"},
		"no containerd":       {func(v *StatusView) { v.Nodes[0].Host.Containerd = false }, Unwell, "containerd does not run"},
		"bare host":           {func(v *StatusView) { v.Nodes[0].Host = &HostView{Reached: true} }, Well, ""},
		"component":           {func(v *StatusView) { v.Components[0] = ComponentView{Name: "etcd", Node: "n1", State: "crashes"} }, Unwell, "etcd: crashes"},
		"member":              {func(v *StatusView) { v.Etcd.Problems = []string{"n1: no leader"} }, Unwell, "etcd: n1: no leader"},
		"no members":          {func(v *StatusView) { v.Etcd, v.EtcdError = nil, refused }, Unwell, "etcd cannot be looked at"},
		"add-on":              {func(v *StatusView) { v.AddOns[0].Ready, v.AddOns[0].State = false, "0/2 pods ready" }, Unwell, "Deployment coredns: 0/2 pods ready"},
		"ended":               {func(v *StatusView) { v.Certificates[0].End = now.Add(-time.Hour) }, Unwell, "certificate apiserver ended on 2026-11-25"},
		"ends now":            {func(v *StatusView) { v.Certificates[0].End = now.AddDate(0, 0, 6) }, Unwell, "ends in 6 days"},
		"ends soon":           {func(v *StatusView) { v.Certificates[0].End = now.AddDate(0, 0, 29) }, Well, "ends in 29 days"},
		"no such certificate": {func(v *StatusView) { v.Certificates[0].Error = diag.New(diag.NotFound, "read", "none") }, Well, ""},
		"unread certificate":  {func(v *StatusView) { v.Certificates[0].Error = diag.New(diag.Permission, "read", "denied") }, Well, "cannot be read"},
		"drift":               {func(v *StatusView) { v.Drift = &DriftView{Changes: 3, Hosts: map[string]int{"": 1, "n1": 2}} }, Drifted, "apply would change 3 things: cluster 1, n1 2"},
		"unknown drift":       {func(v *StatusView) { v.Drift.Error = diag.From(errors.New("no mirror")) }, Well, "not known"},
		"failed run":          {func(v *StatusView) { v.LastRun.Result = event.Failed }, Well, "the last run, apply"},
		"run that goes on":    {func(v *StatusView) { v.LastRun.Result = Running }, Well, ""},
		"the worst of all": {func(v *StatusView) {
			v.Drift = &DriftView{Changes: 1, Hosts: map[string]int{"n1": 1}}
			v.Nodes[0].Host = &HostView{Error: refused}
			v.Nodes[0].Why = "tainted: not ready"
		}, Unwell, "tainted: not ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := well()
			tc.change(v)
			v.judge()
			if v.Verdict != tc.want {
				t.Errorf("verdict %s, want %s: %+v", v.Verdict, tc.want, v.Findings)
			}
			switch {
			case tc.text == "" && len(v.Findings) > 0:
				t.Errorf("findings: %+v", v.Findings)
			case tc.text != "" && (len(v.Findings) == 0 || !strings.Contains(v.Findings[0].Text, tc.text)):
				t.Errorf("the first finding is not %q: %+v", tc.text, v.Findings)
			}
		})
	}
}

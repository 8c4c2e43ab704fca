package ui

import (
	"strings"
	"testing"
)

func checkView() CheckView {
	const hint = "plan to boot the host with cgroup v2"
	return CheckView{
		Hosts: 3, Checked: "38 rules on 3 hosts",
		Items: []CheckItem{
			{Severity: "error", Rule: "ports", Host: "n3", Message: "port 8472/udp (the pod network) is not reached from n1, n2: no answer", Hint: "let the nodes through to this port"},
			{Severity: "warning", Rule: "cgroup-v1", Host: "n1", Message: "the host has cgroup v1", Hint: hint},
			{Severity: "warning", Rule: "cgroup-v1", Host: "n2", Message: "the host has cgroup v1", Hint: hint},
			{Severity: "warning", Rule: "cgroup-v1", Host: "n3", Message: "the host has cgroup v1", Hint: hint},
			{Severity: "warning", Rule: "kernel", Host: "n2", Message: "kernel 4.19.0\x1b[2J is old", Hint: "install a newer one", Reason: "replaced in March"},
			{Severity: "warning", Rule: "machine-id", Message: "n1, n2 have the same machine-id", Hint: "make new ones"},
			{Severity: "notice", Rule: "swap", Host: "n1", Message: "swap is on: /dev/sda2", Hint: "nothing: apply turns it off"},
		},
		Waived: []CheckItem{{Severity: "error", Rule: "systemd", Host: "n2", Message: "systemd 219 is old", Hint: "take a newer release", Reason: "replaced in March"}},
	}
}

func TestCheckGolden(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		view   CheckView
		byHost bool
		o      Options
	}{
		"check-rules":   {checkView(), false, Options{}},
		"check-hosts":   {checkView(), true, Options{ASCII: true}},
		"check-color":   {checkView(), false, Options{Color: true}},
		"check-nothing": {CheckView{Hosts: 3, Checked: "38 rules on 3 hosts, 6 ways between them"}, false, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			if err := Check(&b, tt.view, tt.byHost, tt.o); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.String())
		})
	}
}

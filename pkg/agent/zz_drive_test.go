package agent_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

func TestDrive(t *testing.T) {
	line := os.Getenv("DRIVE")
	if line == "" {
		t.Skip()
	}
	argv := strings.Fields(line)
	cmd := exec.Command(argv[0], argv[1:]...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	cmd.Start()
	c := connect(t, in, out)
	fmt.Printf("%+v\n", c.hello)
	start := time.Now()
	rep := c.call(wire.Header{Type: wire.TFacts})
	j, _ := json.MarshalIndent(rep, "", " ")
	fmt.Println(string(j), time.Since(start))
	fmt.Println(c.lock().Error)
	script := "#!/bin/sh\n" + spec.Header + "\nsleep 10000\n"
	rs := []spec.Resource{
		file("/etc/try.conf", os.Getenv("CONF")+"\n"),
		{ID: "bin", File: &spec.File{Path: "/usr/local/bin/try", Mode: 0o755, Content: []byte(script)}},
		file("/etc/systemd/system/try.service", spec.Header+"\n[Unit]\nDescription="+os.Getenv("DESC")+"\n[Service]\nExecStart=/usr/local/bin/try\n[Install]\nWantedBy=multi-user.target\n"),
		{ID: "mod", Modules: &spec.Modules{Path: "/etc/modules-load.d/kforge.conf", Names: []string{"overlay", "br_netfilter", "nf_conntrack"}, Optional: []string{"vxlan", "wireguard"}}},
		{ID: "sysctl", Sysctl: &spec.Sysctl{Path: "/etc/sysctl.d/90-kforge.conf", Values: map[string]string{"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1", "net.netfilter.nf_conntrack_max": "131072", "fs.inotify.max_user_watches": "524288"}, BestEffort: []string{"net.netfilter.nf_conntrack_max", "fs.inotify.max_user_watches"}}},
		{ID: "swap", Swap: &spec.Swap{Off: true}},
		{ID: "unit try", Unit: &spec.Unit{Name: "try.service", Enabled: spec.Bool(true), State: "running", RestartOn: []string{"/etc/try.conf", "/etc/systemd/system/try.service"}}},
	}
	for range 2 {
		for _, h := range []wire.Header{plan(rs...), apply(rs...)} {
			start = time.Now()
			rep = c.call(h)
			j, _ = json.MarshalIndent(rep, "", " ")
			fmt.Println(h.Type, string(j), time.Since(start))
			for _, e := range c.events {
				if e.Warning != "" || e.Output != "" {
					fmt.Printf("EVENT %+v\n", e)
				}
			}
			c.events = nil
		}
	}
	in.Close()
	fmt.Println(cmd.Wait())
}

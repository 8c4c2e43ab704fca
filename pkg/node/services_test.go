package node_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/node"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/spec"
)

// judge compares resources with a golden file, or an error and its hint with
// what they must say.
func judge(t *testing.T, golden string, got []spec.Resource, err error, says, hint string) {
	t.Helper()
	if says != "" {
		if diag.KindOf(err) != diag.Unsupported || !strings.Contains(err.Error(), says) || !strings.Contains(diag.Hint(err), hint) {
			t.Errorf("got %v (%q), hint %q; want %q, hint %q", err, diag.KindOf(err), diag.Hint(err), says, hint)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if golden == "" {
		if len(got) > 0 {
			t.Errorf("got %v, want nothing to do", got)
		}
		return
	}
	nodetest.Golden(t, golden, []byte(nodetest.Text(got)))
}

func TestClock(t *testing.T) {
	t.Parallel()
	servers := []string{"ntp.example.com", "10.0.0.54"}
	tests := []struct {
		name, golden string
		servers      []string
		host         facts.Time
		packages     string
		says, hint   string
	}{
		{name: "not asked for", host: facts.Time{}, packages: "apt-get"},
		{name: "chrony's sources", golden: "clock-chrony-sources.txt", servers: servers,
			host: facts.Time{Daemon: "chrony", Unit: "chrony.service", DropIn: "/etc/chrony/sources.d/kforge.sources"}},
		{name: "chrony's settings", golden: "clock-chrony-conf.txt", servers: servers,
			host: facts.Time{Daemon: "chrony", Unit: "chronyd.service", DropIn: "/etc/chrony.d/kforge.conf"}},
		{name: "timesyncd", golden: "clock-timesyncd.txt", servers: servers,
			host: facts.Time{Daemon: "systemd-timesyncd", Unit: "systemd-timesyncd.service", DropIn: "/etc/systemd/timesyncd.conf.d/10-kforge.conf"}},
		{name: "ntpsec", golden: "clock-ntpsec.txt", servers: servers,
			host: facts.Time{Daemon: "ntpsec", Unit: "ntpsec.service", DropIn: "/etc/ntpsec/ntp.d/kforge.conf"}},
		{name: "to be installed", golden: "clock-install.txt", servers: servers, packages: "apt-get"},
		{name: "no folder", servers: servers, host: facts.Time{Daemon: "chrony", Unit: "chronyd.service", Configured: servers[:1]},
			says: "chrony reads no folder", hint: "server ntp.example.com iburst; server 10.0.0.54 iburst"},
		{name: "no folder, and in place", servers: servers,
			host: facts.Time{Daemon: "ntpsec", Unit: "ntpsec.service", Configured: []string{"10.0.0.54", "ntp.example.com", "other"}}},
		{name: "no daemon", servers: servers, packages: "dnf", says: "no time daemon", hint: "install one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := node.Clock(tt.servers, &facts.Host{Time: tt.host, OS: facts.OS{PackageManager: tt.packages}}, 2)
			judge(t, tt.golden, got, err, tt.says, tt.hint)
		})
	}
}

func TestChronyIsInstalledByApt(t *testing.T) {
	t.Parallel()
	got, err := node.Clock([]string{"ntp.lan"}, &facts.Host{OS: facts.OS{PackageManager: "apt-get"}}, 2)
	if err != nil || len(got) != 4 || got[0].Command == nil || got[1].Command == nil {
		t.Fatalf("Clock = %v, %v", got, err)
	}
	want := spec.Command{
		Argv: []string{"apt-get", "-q", "-y", "install", "--no-install-recommends", "chrony"}, Env: []string{"DEBIAN_FRONTEND=noninteractive"},
		Unless: []string{"/usr/sbin/chronyd"}, Recover: []string{"dpkg", "--configure", "-a"}, TimeoutSeconds: 1200, Hint: got[1].Command.Hint,
	}
	if d := cmp.Diff(want, *got[1].Command); d != "" || !strings.Contains(want.Hint, "in reach") {
		t.Errorf("install (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"apt-get", "-q", "-y", "update"}, got[0].Command.Argv); d != "" {
		t.Errorf("update (-want +got):\n%s", d)
	}
}

func TestHostDNS(t *testing.T) {
	t.Parallel()
	servers := []string{"10.0.0.53", "10.0.1.53", "fd00::53", "10.0.2.53"}
	tests := []struct {
		name, golden string
		servers      []string
		host         facts.Resolver
		says, hint   string
	}{
		{name: "no servers"},
		{name: "resolved's stub", golden: "dns-resolved.txt", servers: servers,
			host: facts.Resolver{Path: "/etc/resolv.conf", Servers: []string{"127.0.0.53"}, Stub: "systemd-resolved"}},
		{name: "resolved's list", golden: "dns-resolved.txt", servers: servers,
			host: facts.Resolver{Path: "/run/systemd/resolve/resolv.conf", Servers: []string{"10.0.0.2"}}},
		{name: "in place", servers: servers, host: facts.Resolver{Path: "/etc/resolv.conf", Servers: servers[:3]}},
		{name: "plain file", servers: servers[:1], host: facts.Resolver{Path: "/etc/resolv.conf", Servers: []string{"10.0.0.2"}},
			says: "/etc/resolv.conf names 10.0.0.2 and is not systemd-resolved's", hint: "see what writes /etc/resolv.conf and give it these servers: nameserver 10.0.0.53;"},
		{name: "NetworkManager", servers: servers[:2], host: facts.Resolver{Path: "/run/NetworkManager/resolv.conf"},
			says: "names no server", hint: `ipv4.dns "10.0.0.53,10.0.1.53"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := node.HostDNS(tt.servers, tt.host, 1)
			judge(t, tt.golden, got, err, tt.says, tt.hint)
		})
	}
}

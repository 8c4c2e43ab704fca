package preflight_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/node/nodetest"
	"kforge.dev/kforge/pkg/preflight"
)

// paths are those of a network in which all is well, changed by change.
func paths(change func(*facts.Path)) func(*preflight.Input) {
	return func(in *preflight.Input) {
		for _, w := range ways(*in, false) {
			p := facts.Path{From: w.From, To: w.To, RoundTrip: 0.0004, MTU: 1500, PathMTU: 1500}
			from, _ := in.Cluster.Host(w.From)
			p.Source, p.SeenAs = from.Address, from.Address
			for _, port := range w.Ports {
				p.Ports = append(p.Ports, facts.PortState{Port: port, Open: true})
			}
			change(&p)
			in.Paths = append(in.Paths, p)
		}
	}
}

// ways are those that are measured, of hosts that were all met.
func ways(in preflight.Input, joining bool) []preflight.Way {
	return slices.DeleteFunc(preflight.Pairs(in.Cluster), func(w preflight.Way) bool {
		return !preflight.Measurable(in.Cluster, w, in.Facts[w.From], in.Facts[w.To], joining)
	})
}

// closed shuts a port of one host, as seen from every other.
func closed(to string, port int, why string) func(*facts.Path) {
	return func(p *facts.Path) {
		for i := range p.Ports {
			if p.To == to && p.Ports[i].Port.Port == port {
				p.Ports[i].Open, p.Ports[i].Error = false, why
			}
		}
	}
}

func way(from, to string, change func(*facts.Path)) func(*preflight.Input) {
	return paths(func(p *facts.Path) {
		if p.From == from && p.To == to {
			change(p)
		}
	})
}

func lookups(host string, l ...facts.Lookup) func(*preflight.Input) {
	return func(in *preflight.Input) {
		if in.Lookups == nil {
			in.Lookups = map[string][]facts.Lookup{}
		}
		in.Lookups[host] = append(in.Lookups[host], l...)
	}
}

func all(changes ...func(*preflight.Input)) func(*preflight.Input) {
	return func(in *preflight.Input) {
		for _, c := range changes {
			c(in)
		}
	}
}

func synced(p99 float64) func(*preflight.Input) {
	return func(in *preflight.Input) {
		in.Sync = map[string]*facts.SyncTimes{"n1": {Path: "/var/lib", Samples: 100, P99: p99}}
	}
}

func mac(value string) func(*facts.Host) {
	return func(f *facts.Host) { f.Interfaces[1].MAC = value }
}

var networkCases = []struct {
	name   string
	change func(*preflight.Input)
	want   []string
}{
	{"not reached", func(in *preflight.Input) {
		delete(in.Facts, "n2")
		in.Unreachable = map[string]error{"n2": diag.New(diag.Unreachable, "dial 10.0.0.12:22", "connection refused").On("n2")}
	}, []string{"error reach n2: not reached: dial 10.0.0.12:22: connection refused"}},
	{"no folder for time servers", func(in *preflight.Input) {
		in.Cluster.Hosts[1].TimeServers = []string{"ntp.example.com"}
	}, []string{"error time-servers n2: set time servers: the configuration of chrony reads no folder that a file of kforge could be in"}},
	{"a resolv.conf of somebody else", func(in *preflight.Input) {
		in.Cluster.ManageHostDNS, in.Cluster.DNSServers = true, []string{"10.0.0.2"}
		in.Facts["n2"].Resolver = facts.Resolver{Path: "/etc/resolv.conf", Servers: []string{"10.0.0.9"}}
	}, []string{"error dns-hosts n2: set the host's DNS servers: /etc/resolv.conf names 10.0.0.9 and is not systemd-resolved's: kforge does not rewrite it"}},
	{"a good network", paths(func(*facts.Path) {}), nil},
	{"the API is blocked", paths(closed("n1", 6443, "no answer")), []string{
		"error ports n2: port 6443/tcp of n1 (the API server) is not reached: no answer",
		"error ports n3: port 6443/tcp of n1 (the API server) is not reached: no answer",
	}},
	{"a kubelet is blocked", paths(closed("n3", 10250, "refused")), []string{"error ports n3: port 10250/tcp (the kubelet) is not reached from n1: refused"}},
	{"the pod network is blocked", paths(closed("n3", 8472, "no answer")), []string{"error ports n3: port 8472/udp (the pod network) is not reached from n1, n2"}},
	{"the pod network holds its port", all(on("n3", func(*facts.Host) {}), paths(func(p *facts.Path) {
		for i := range p.Ports {
			if p.Ports[i].Proto == "udp" {
				p.Ports[i].Open, p.Ports[i].Held = false, true
			}
		}
	})), nil},
	{"something on the way answers", paths(closed("n3", 10250, "answered by something else")), []string{"error ports n3: 10250"}},
	{"no way there", paths(closed("n3", 10250, "no route")), []string{"error ports n3: no route"}},
	{"large packets vanish", way("n2", "n3", func(p *facts.Path) { p.PathMTU = 1400 }),
		[]string{"error path-mtu n2: packets to n3 get through with at most 1400 bytes, the interface takes 1500 and the pod network would send 1500"}},
	{"large packets of pods fit", all(func(in *preflight.Input) { in.Cluster.CNI.MTU = 1350 }, way("n2", "n3", func(p *facts.Path) { p.PathMTU = 1400 })),
		[]string{"warning path-mtu n2: those of pods fit"}},
	{"no MTU was measured", way("n2", "n3", func(p *facts.Path) { p.PathMTU = 0 }), nil},
	{"MTU differs", on("n2", func(f *facts.Host) { f.Interfaces[1].MTU = 9000 }), []string{"warning link n2: MTU 9000, where most hosts have 1500"}},
	{"a slow link", func(in *preflight.Input) {
		for _, f := range in.Facts {
			f.Interfaces[1].SpeedMbit = 10000
		}
		in.Facts["n3"].Interfaces[1].SpeedMbit = 100
	}, []string{"warning link n3: eth0 runs at 100 Mbit/s, where most hosts have 10000"}},
	{"another source", way("n2", "n1", func(p *facts.Path) { p.Source, p.SeenAs = "192.168.0.2", "192.168.0.2" }), []string{"warning route n2: leave with the address 192.168.0.2"}},
	{"translated", way("n2", "n1", func(p *facts.Path) { p.SeenAs = "10.0.0.1" }), []string{"warning route n2: n1 sees packets of the host come from 10.0.0.1"}},
	{"another way back", way("n2", "n1", func(p *facts.Path) { p.HopsThere, p.HopsBack = 1, 2 }), []string{"warning route n2: pass 1 routers to n1, and 2"}},
	{"far away", way("n2", "n1", func(p *facts.Path) { p.RoundTrip = 0.3 }), []string{"warning round-trip n2: a packet to n1 and back takes 300ms"}},
	{"control planes far away", all(func(in *preflight.Input) { in.Cluster.Hosts[1].Roles = []string{inventory.RoleControlPlane} },
		way("n2", "n1", func(p *facts.Path) { p.RoundTrip = 0.3 })), []string{"error round-trip n2: 300ms (the limit is 100ms)"}},
	{"far away, as the inventory allows", all(tune("n2", "round-trip", inventory.Check{Warn: inventory.Duration(time.Second)}),
		way("n2", "n1", func(p *facts.Path) { p.RoundTrip = 0.3 })), nil},

	{"inodes used up", on("n2", func(f *facts.Host) { f.Paths[0].Inodes, f.Paths[0].InodesFree = 1000, 40 }), []string{"error inodes n2: 40 of 1000"}},
	{"inodes short", on("n2", func(f *facts.Host) { f.Paths[0].Inodes, f.Paths[0].InodesFree = 1000, 90 }), []string{"warning inodes n2: 90 of 1000"}},
	{"a port is held", on("n1", func(f *facts.Host) { f.Listening = []facts.Listener{{Proto: "tcp", Port: 6443, Process: "haproxy"}} }),
		[]string{"error port-held n1: haproxy listens on TCP port 6443, which the API server needs"}},
	{"a port is held by Kubernetes", on("n1", func(f *facts.Host) {
		f.Kubernetes.AdminConf = true
		f.Listening = []facts.Listener{{Proto: "tcp", Port: 6443, Process: "kube-apiserver"}}
	}), nil},
	{"swap is full", on("n2", func(f *facts.Host) {
		f.Swap.Active, f.Memory.Available = []facts.SwapArea{{Path: "/dev/sda2", Size: 8 * gib, Used: 4 * gib}}, 2*gib
	}), []string{"error swap n2: bring back 4.0 GiB into 2.0 GiB"}},
	{"swap is on and will be off", on("n2", func(f *facts.Host) { f.Swap.Active = []facts.SwapArea{{Path: "/dev/sda2", Size: 8 * gib}} }), nil},
	{"swap comes back by type", on("n2", func(f *facts.Host) { f.Swap.GPTAuto = []string{"/dev/sda3"} }), []string{"warning swap n2: /dev/sda3"}},
	{"swap stays", on("n2", func(f *facts.Host) { f.Swap.Active = []facts.SwapArea{{Path: "/swap", Size: gib}} }, func(in *preflight.Input) { in.Cluster.Hosts[1].SwapOff = false }),
		[]string{"warning swap n2: /swap"}},
	{"a mute server", on("n2", func(f *facts.Host) {
		f.Resolver.Answers = []facts.DNSAnswer{{Server: "10.0.0.2", Code: "NOERROR"}, {Server: "10.0.0.3", Error: "no answer"}}
	}), []string{"warning dns-servers n2: do not answer: 10.0.0.3 (no answer)"}},
	{"no server answers", all(on("n2", func(f *facts.Host) { f.Resolver.Answers = []facts.DNSAnswer{{Server: "10.0.0.2", Error: "refused"}} }),
		lookups("n2", facts.Lookup{Question: "registry.k8s.io.", Error: "no answer"})), []string{"warning dns-servers n2: no DNS server answers: 10.0.0.2 (refused)"}},
	{"a resolver that asks itself", on("n2", func(f *facts.Host) {
		f.Resolver.Answers = []facts.DNSAnswer{{Server: "127.0.0.1", Error: "no answer within 1s"}, {Server: "127.0.0.1", Code: "SERVFAIL"}, {Server: "10.0.0.2", Code: "SERVFAIL"}}
	}), []string{"warning dns-servers n2: the resolver on the host itself has no answers: 127.0.0.1 (SERVFAIL)"}},
	{"a resolver that knows the host", on("n2", func(f *facts.Host) {
		f.Resolver.Answers = []facts.DNSAnswer{{Server: "127.0.0.1", Code: "NXDOMAIN"}, {Server: "127.0.0.1", Code: "SERVFAIL"}}
	}), nil},
	{"a resolver of the host and a server that is mute", on("n2", func(f *facts.Host) {
		f.Resolver.Answers = []facts.DNSAnswer{{Server: "127.0.0.1", Error: "refused"}, {Server: "10.0.0.2", Error: "no answer"}}
	}), []string{"warning dns-servers n2: host itself has no answers: 127.0.0.1 (refused)", "warning dns-servers n2: no DNS server answers: 10.0.0.2 (no answer)"}},
	{"four servers", on("n2", func(f *facts.Host) { f.Resolver.Upstreams = []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"} }), []string{"warning dns-limits n2: not 10.0.0.5"}},
	{"many search domains", on("n2", func(f *facts.Host) { f.Resolver.Search = slices.Repeat([]string{"example.com"}, 40) }), []string{"warning dns-limits n2: 40 search domains"}},
	{"nothing outside", lookups("n2", facts.Lookup{Question: "registry.k8s.io.", Missing: true}), nil},
	{"outside fails", lookups("n2", facts.Lookup{Question: "registry.k8s.io.", Error: "server misbehaving"}), []string{"warning dns-external n2: registry.k8s.io"}},
	{"wildcard", lookups("n2", facts.Lookup{Question: "kforge-no-such-name.svc.cluster.local.example.com.", Answers: []string{"203.0.113.9"}}),
		[]string{"error dns-wildcard n2: example.com answers for every name (203.0.113.9"}},
	{"no wildcard", lookups("n2", facts.Lookup{Question: "kforge-no-such-name.svc.cluster.local.example.com.", Missing: true}), nil},
	{"names are known", lookups("n2", facts.Lookup{Question: "n1", Answers: []string{"10.0.0.11"}}, facts.Lookup{Question: "n2", Answers: []string{"127.0.1.1"}},
		facts.Lookup{Question: "10.0.0.11", Answers: []string{"n1.example.com"}}), nil},
	{"nobody is named", all(lookups("n1", facts.Lookup{Question: "n2", Missing: true}), lookups("n2", facts.Lookup{Question: "n1", Missing: true})), nil},
	{"somebody is not named", all(lookups("n1", facts.Lookup{Question: "n2", Answers: []string{"10.0.0.12"}}), lookups("n2", facts.Lookup{Question: "n1", Missing: true})),
		[]string{"warning dns-names n2: do not resolve: n1"}},
	{"no server answers, and one name is in a file", all(on("n2", func(f *facts.Host) { f.Resolver.Answers = []facts.DNSAnswer{{Server: "10.0.0.2", Error: "refused"}} }),
		lookups("n2", facts.Lookup{Question: "n1", Answers: []string{"10.0.0.11"}}, facts.Lookup{Question: "n3", Error: "no answer"})),
		[]string{"warning dns-servers n2: 10.0.0.2 (refused)"}},
	{"a wrong name", lookups("n2", facts.Lookup{Question: "n1", Answers: []string{"127.0.1.1"}}), []string{"warning dns-names n2: the name n1 leads to 127.0.1.1"}},
	{"a wrong reverse name", lookups("n2", facts.Lookup{Question: "10.0.0.11", Answers: []string{"n3.example.com"}}), []string{"warning dns-names n2: leads back to the name n3.example.com"}},
	{"the API's name is unknown", all(func(in *preflight.Input) { in.Cluster.Endpoint = "api.example.com:6443" }, lookups("n2", facts.Lookup{Question: "api.example.com", Missing: true})),
		[]string{"error dns-names n2: api.example.com does not resolve"}},
	{"nobody has the virtual address yet", virtualIP("10.0.0.100:6443", facts.PortState{Error: "no answer"}), nil},
	{"somebody has the virtual address", virtualIP("10.0.0.100:6443", facts.PortState{Error: "refused"}), []string{"error endpoint n2: some machine has the API's virtual address 10.0.0.100:6443"}},
	{"the virtual address answers", all(virtualIP("10.0.0.100:6443", facts.PortState{Open: true}), on("n1", holdsAddress)), nil},
	{"a cluster without a virtual address", all(virtualIP("10.0.0.100:6443", facts.PortState{Error: "no answer"}), on("n1", func(f *facts.Host) { f.Kubernetes.AdminConf = true })),
		[]string{"error endpoint n1: the cluster was made without a virtual address"}},
	{"no control plane holds the virtual address", all(virtualIP("10.0.0.100:6443", facts.PortState{Error: "no answer"}), on("n1", holdsAddress)),
		[]string{"warning endpoint n2: virtual address 10.0.0.100:6443 is not reached: no answer"}},
	{"the virtual address is of another network", virtualIP("10.9.0.100:6443", facts.PortState{Error: "no answer"}), []string{"error endpoint n1: virtual address 10.9.0.100 lies in no network of"}},
	{"the site's load balancer answers", siteBalancer(facts.PortState{Open: true}), nil},
	{"the site's load balancer is silent", siteBalancer(facts.PortState{Error: "no answer"}), []string{"error endpoint n2: lb.example.com:6443 is not reached: no answer"}},
	{"the site's load balancer has nobody behind it yet", siteBalancer(facts.PortState{Error: "refused"}), []string{"warning endpoint n2: refuses connections"}},
	{"the site's load balancer has nobody behind it", all(siteBalancer(facts.PortState{Error: "refused"}), on("n1", func(f *facts.Host) { f.Kubernetes.AdminConf = true })),
		[]string{"error endpoint n2: lb.example.com:6443 is not reached: refused"}},
	{"no time daemon", on("n2", func(f *facts.Host) { f.Time.Daemon, f.Time.DaemonActive = "", false }), []string{"warning time-sync n2: no time daemon"}},
	{"not synchronised", on("n2", func(f *facts.Host) { f.Time.Synced = false }), []string{"warning time-sync n2: synchronised"}},
	{"the inventory's time servers", func(in *preflight.Input) {
		in.NTP = map[string][]facts.NTPAnswer{"n2": {{Server: "ntp1", Stratum: 2}, {Server: "ntp2", Error: "no answer"}, {Server: "ntp3"}}}
	}, []string{"warning time-answers n2: do not answer: ntp2 (no answer)", "warning time-answers n2: ntp3"}},
	{"no time server", on("n2", func(f *facts.Host) { f.Time.Sources = []facts.TimeSource{{Name: "ntp1", State: "unreachable"}} }), []string{"warning time-sources n2: ntp1"}},
	{"no time server of a container", on("n2", func(f *facts.Host) {
		f.OS.Container, f.Time.Sources = "docker", []facts.TimeSource{{Name: "ntp1", State: "unreachable"}}
	}), nil},
	{"one time server is lost", on("n2", func(f *facts.Host) {
		f.Time.Sources = []facts.TimeSource{{Name: "ntp1", State: "unreachable"}, {Name: "ntp2", State: "selected"}}
	}), nil},
	{"a time server lies", on("n2", func(f *facts.Host) {
		f.Time.Sources = []facts.TimeSource{{Name: "ntp1", State: "falseticker"}, {Name: "ntp2", State: "selected"}}
	}), []string{"warning time-sources n2: ntp1"}},
	{"the clock is before the certificates", func(in *preflight.Input) {
		for _, f := range in.Facts {
			f.Time.Unix = 2000
		}
		in.Facts["n2"].Time.Unix = 900
		in.Certificates = map[string][]facts.Certificate{"n1": {{Path: "/etc/kubernetes/pki/ca.crt", NotBefore: 1000}, {Path: "old.crt", NotBefore: 10}}}
	}, []string{"error certificate-clock n2: 1m40s before /etc/kubernetes/pki/ca.crt of n1"}},
	{"a good disk", synced(0.002), nil},
	{"a slow disk", synced(0.034), []string{"warning fsync n1: 34ms"}},
	{"a very slow disk", synced(0.7), []string{"error fsync n1: 700ms"}},
	{"a slow disk is known", all(tune("n1", "fsync", inventory.Check{Warn: inventory.Duration(time.Second), Fail: inventory.Duration(2 * time.Second)}), synced(0.7)), nil},
	{"an unsigned driver", on("n2", func(f *facts.Host) {
		f.GPUs, f.NVIDIA.ModuleFile, f.Kernel.SecureBoot = []facts.GPU{{Vendor: "10de"}}, "/lib/modules/nvidia.ko", "enabled"
	}), []string{"warning secure-boot n2: /lib/modules/nvidia.ko"}},
	{"updatedb", on("n2", func(f *facts.Host) {
		f.Locate = facts.Locate{Program: "plocate", Active: true, PrunePaths: []string{"/tmp", "/var/lib/kubelet"}, PruneFS: []string{"tmpfs"}}
	}), []string{"warning updatedb n2: walks /var/lib/containerd, and"}},
	{"updatedb leaves containers out", on("n2", func(f *facts.Host) {
		f.Locate = facts.Locate{Program: "plocate", Active: true, PrunePaths: []string{"/run", "/var/lib"}}
	}), nil},
	{"one name twice", all(on("n1", func(f *facts.Host) { f.Hostname = "localhost" }), on("n2", func(f *facts.Host) { f.Hostname = "localhost" })),
		[]string{"warning hostname : n1, n2 call themselves localhost"}},
	{"a bad name", on("n2", func(f *facts.Host) { f.Hostname = "Node_2" }), []string{`warning hostname n2: "Node_2"`}},
	{"clones", all(on("n1", func(f *facts.Host) { f.Machine.UUID = "1-2" }), on("n2", func(f *facts.Host) { f.Machine.UUID = "1-2" })), []string{"warning product-uuid : n1, n2"}},
	{"containers of one machine", func(in *preflight.Input) {
		for _, f := range in.Facts {
			f.Machine.UUID, f.OS.Container, f.Time.Daemon, f.Time.Synced = "1-2", "docker", "", false
		}
	}, nil},
	{"one MAC address twice", all(on("n1", mac("02:00:00:00:00:01")), on("n2", mac("02:00:00:00:00:01"))), []string{"error mac n2: 02:00:00:00:00:01 of n1"}},
}

// Swap that apply turns off is told with all that it is and all that brings it back.
func TestSwapIsTold(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.Facts["n2"].Swap = facts.Swap{
		Active: []facts.SwapArea{{Path: "/dev/sda2", Kind: "partition", Size: gib}, {Path: "/dev/zram0", Kind: "zram", Size: gib}},
		Fstab:  []string{"UUID=1-2"}, Units: []string{"swapfile.swap"},
	}
	in.Facts["n3"].Swap = facts.Swap{Fstab: []string{"/swap"}}
	var got []string
	for _, f := range preflight.Examine(in).Findings {
		got = append(got, fmt.Sprintf("%s %s %s: %s", f.Severity, f.Rule, f.Host, f.Message))
	}
	want := []string{
		"notice swap n2: swap is on: /dev/sda2 (partition), /dev/zram0 (zram); swap comes back at boot: UUID=1-2, swapfile.swap",
		"notice swap n3: swap comes back at boot: /swap",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func tune(host, rule string, c inventory.Check) func(*preflight.Input) {
	return func(in *preflight.Input) {
		for i := range in.Cluster.Hosts {
			if in.Cluster.Hosts[i].Name == host {
				in.Cluster.Hosts[i].Checks = map[string]inventory.Check{rule: c}
			}
		}
		if host == "" {
			in.Cluster.Checks = map[string]inventory.Check{rule: c}
		}
	}
}

// A check of the inventory changes the severity of what a rule finds, or waives
// it with its reason, for that host only.
func TestTuning(t *testing.T) {
	t.Parallel()
	old := func(in *preflight.Input) { in.Facts["n2"].OS.Systemd, in.Facts["n3"].OS.Systemd = 0, 0 }
	for _, tt := range []struct {
		check            inventory.Check
		errors, warnings int
		waived           string
	}{
		{inventory.Check{}, 2, 0, ""},
		{inventory.Check{Severity: "warning", Reason: "known"}, 1, 1, ""},
		{inventory.Check{Severity: "off", Reason: "known"}, 1, 0, "n2 known"},
		{inventory.Check{Severity: "error"}, 2, 0, ""},
	} {
		in := healthy()
		all(old, tune("n2", "systemd", tt.check))(&in)
		r := preflight.Examine(in)
		waived := ""
		for _, f := range r.Waived {
			waived += f.Host + " " + f.Reason
		}
		if r.Summary.Errors != tt.errors || r.Summary.Warnings != tt.warnings || waived != tt.waived {
			t.Errorf("%+v: %+v, waived %q, want %d errors, %d warnings, %q", tt.check, r.Summary, waived, tt.errors, tt.warnings, tt.waived)
		}
	}
	// What is of no single host goes by the cluster's own checks.
	in := healthy()
	all(on("n2", func(f *facts.Host) { f.MachineID = "id-10.0.0.11" }), tune("", "machine-id", inventory.Check{Severity: "off", Reason: "copies"}))(&in)
	if r := preflight.Examine(in); len(r.Findings) != 0 || len(r.Waived) != 1 || r.Waived[0].Reason != "copies" {
		t.Errorf("findings %v, waived %v", r.Findings, r.Waived)
	}
}

// The inventory knows the names of all rules, and which have limits.
func TestInventoryKnowsTheRules(t *testing.T) {
	t.Parallel()
	want := slices.Sorted(slices.Values(preflight.Rules()))
	if got := inventory.CheckRules(); !slices.Equal(got, want) {
		t.Errorf("the inventory knows %v, want %v", got, want)
	}
	for _, r := range preflight.Catalogue() {
		if got := inventory.CheckHasLimits(r.Name); got != (r.Warn > 0) || r.Protects == "" {
			t.Errorf("%s: limits %v %v, the inventory says %v", r.Name, r.Warn, r.Fail, got)
		}
	}
}

// The ways grow with the number of hosts and not with its square, and each host
// dials and is dialled.
func TestWaysOfLargeFleets(t *testing.T) {
	t.Parallel()
	fleet := func(n int) preflight.Input {
		in := preflight.Input{Cluster: nodetest.Cluster("v1.37.2"), Facts: map[string]*facts.Host{}}
		template := in.Cluster.Hosts[1]
		in.Cluster.Hosts = in.Cluster.Hosts[:1]
		for i := 1; i < n; i++ {
			h := template
			h.Name, h.Address = fmt.Sprintf("w%d", i), fmt.Sprintf("10.0.%d.%d", 1+i/250, i%250)
			in.Cluster.Hosts = append(in.Cluster.Hosts, h)
		}
		for _, h := range in.Cluster.Hosts {
			in.Facts[h.Name] = nodetest.Machine(h.Address)
		}
		return in
	}
	for n, want := range map[int]int{1: 0, 3: 6, 10: 90, 11: 10 + 10 + 10*3 - 3, 500: 499*5 - 3} {
		in := fleet(n)
		ways := ways(in, false)
		if len(ways) != want {
			t.Errorf("%d hosts have %d ways, want %d", n, len(ways), want)
		}
		dialled := map[string]bool{}
		for _, w := range ways {
			dialled[w.To] = true
			if len(w.Ports) == 0 {
				t.Errorf("%s to %s has no ports", w.From, w.To)
			}
		}
		if n > 1 && len(dialled) != n {
			t.Errorf("%d of %d hosts are dialled", len(dialled), n)
		}
		last := in.Cluster.Hosts[n-1].Name
		names, near := preflight.Names(in.Cluster, last, in.Facts[last]), preflight.Neighbours(in.Cluster, last)
		if len(names) > 14 || len(near) > 11 || !slices.Contains(near, last) {
			t.Errorf("of %d hosts one asks for %d names and the addresses of %v", n, len(names), near)
		}
	}
}

// Hosts that have joined are not measured again before an apply.
func TestJoinedHostsAreLeftAlone(t *testing.T) {
	t.Parallel()
	in := healthy()
	in.Facts["n1"].Kubernetes.AdminConf, in.Facts["n2"].Kubernetes.KubeletConf = true, true
	for _, w := range ways(in, true) {
		if w.From != "n3" && w.To != "n3" {
			t.Errorf("the way from %s to %s is measured", w.From, w.To)
		}
	}
	for i, h := range in.Cluster.Hosts {
		if f := in.Facts[h.Name]; preflight.Syncs(h, f, true) || preflight.Syncs(h, f, false) != (i == 0) {
			t.Errorf("the disk of %s is measured: joining %v, else %v", h.Name, preflight.Syncs(h, f, true), preflight.Syncs(h, f, false))
		}
	}
}

func holdsAddress(f *facts.Host) {
	f.Kubernetes.AdminConf = true
	f.Leftovers = append(f.Leftovers, facts.Leftover{Kind: "kubernetes", Path: "/etc/kubernetes/manifests/kforge-vip.yaml", Ours: true})
}

func virtualIP(endpoint string, s facts.PortState) func(*preflight.Input) {
	return func(in *preflight.Input) {
		in.Cluster.EndpointMode, in.Cluster.Endpoint = inventory.EndpointKubeVIP, endpoint
		in.Endpoint = map[string]facts.PortState{"n2": s}
	}
}

func siteBalancer(s facts.PortState) func(*preflight.Input) {
	return func(in *preflight.Input) {
		in.Cluster.EndpointMode, in.Cluster.Endpoint = inventory.EndpointExternal, "lb.example.com:6443"
		in.Endpoint = map[string]facts.PortState{"n2": s}
	}
}

package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/resource"
	"kforge.dev/kforge/pkg/spec"
)

// inNamespace is set for the test binary when it runs itself inside a network
// namespace, to the resources that it is to apply there.
const inNamespace = "KFORGE_RESOURCES"

func TestMain(m *testing.M) {
	if text := os.Getenv(inNamespace); text != "" {
		if err := applyHere(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// applyHere plans and applies, and prints what was planned and made.
func applyHere(text string) error {
	var rs []spec.Resource
	if err := json.Unmarshal([]byte(text), &rs); err != nil {
		return err
	}
	env := &resource.Env{Root: "/", Runner: resource.Exec{}}
	planned, err := resource.Plan(context.Background(), env, rs)
	if err != nil {
		return err
	}
	made, err := resource.Apply(context.Background(), env, rs, func(e resource.Event) {
		if e.Warning != "" {
			fmt.Fprintln(os.Stderr, e.Warning)
		}
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode([][]spec.Change{planned, made})
}

// namespace is a network namespace of the test's own, gone with it.
func namespace(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("kforge-%d-%s", os.Getpid(), strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	shell(t, "", "ip", "netns", "add", name)
	t.Cleanup(func() { shell(t, "", "ip", "netns", "del", name) })
	return name
}

func shell(t *testing.T, in string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// applyIn applies resources in a namespace and gives what was made.
func applyIn(t *testing.T, ns string, rs ...spec.Resource) string {
	t.Helper()
	text, err := json.Marshal(rs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
	cmd.Env = append(os.Environ(), inNamespace+"="+string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var got [][]spec.Change
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	if d := cmp.Diff(got[0], got[1]); d != "" {
		t.Errorf("planned and made differ:\n%s", d)
	}
	return details(got[1])
}

// rules of kube-proxy and flannel among somebody else's.
const otherRules = `*filter
:INPUT DROP [0:0]
:MINE - [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A INPUT -j MINE
-A MINE -s 10.0.0.0/8 -j ACCEPT
COMMIT
`

const kubeRules = `*filter
:KUBE-FIREWALL - [0:0]
:KUBE-NODEPORTS - [0:0]
:FLANNEL-FWD - [0:0]
-A INPUT -m comment --comment "kubernetes health" -j KUBE-NODEPORTS
-A INPUT -j KUBE-FIREWALL
-A FORWARD -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-A
-A KUBE-SVC-A -j KUBE-SEP-A
-A KUBE-SEP-A -p tcp -j DNAT --to-destination 10.0.0.1:6443
COMMIT
`

var filters = spec.Resource{ID: "rules", NoFilter: &spec.NoFilter{Tables: []string{"ip kube-proxy"}, Chains: []string{"KUBE-*", "FLANNEL-*"}}}

func TestNoFilter(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"nft", "legacy"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			ipt := func(in, program string, args ...string) string {
				return shell(t, in, append([]string{"ip", "netns", "exec", ns, "iptables-" + kind + program}, args...)...)
			}
			ipt(otherRules, "-restore")
			before := ipt("", "-save")
			ipt(kubeRules, "-restore", "--noflush")
			got := applyIn(t, ns, filters)
			if strings.Count(got, "\n") != 1 || !strings.Contains(got, "KUBE-SVC-A") ||
				!strings.Contains(got, ", and 3 rules that jump to them") || !strings.Contains(got, ", and 2 rules that jump to them") {
				t.Errorf("made:\n%s", got)
			}
			after := ipt("", "-save")
			if kind == "legacy" { // it cannot forget a table: an empty one stays
				nat := strings.Index(after, "*nat")
				if nat < 0 || strings.Contains(after, "KUBE-") || strings.Contains(after, "FLANNEL-") {
					t.Errorf("after:\n%s", after)
				}
				after = ipt("", "-save", "-t", "filter")
			}
			if d := cmp.Diff(plain(before), plain(after)); d != "" {
				t.Errorf("somebody else's rules (-before +after):\n%s", d)
			}
			if again := applyIn(t, ns, filters); again != "" {
				t.Errorf("second time:\n%s", again)
			}
		})
	}
}

// plain leaves out what iptables-save says of the time.
func plain(rules string) []string {
	var out []string
	for line := range strings.Lines(rules) {
		if !strings.HasPrefix(line, "#") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

func TestNoLinks(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	ip := func(args ...string) string {
		return shell(t, "", append([]string{"ip", "-n", ns}, args...)...)
	}
	ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	ip("link", "set", "eth1", "up")
	ip("link", "set", "eth0", "up")
	ip("address", "add", "10.1.0.1/24", "dev", "eth0")
	ip("route", "add", "10.2.0.0/16", "via", "10.1.0.2")
	ip("link", "add", "br0", "type", "bridge")
	ip("link", "add", "veth-theirs", "type", "veth", "peer", "name", "veth-theirs2")
	ip("link", "set", "veth-theirs", "master", "br0")
	links, routes := names(ip("-o", "link")), ip("route")
	ip("link", "add", "cni0", "type", "bridge")
	ip("link", "set", "cni0", "up")
	ip("address", "add", "10.244.0.1/24", "dev", "cni0")
	ip("link", "add", "vethpod", "type", "veth", "peer", "name", "podeth0")
	ip("link", "set", "vethpod", "master", "cni0")
	ip("link", "add", "flannel.1", "type", "vxlan", "id", "1", "dev", "eth0", "dstport", "8472")
	ip("route", "add", "10.244.1.0/24", "via", "10.1.0.3")
	ip("address", "add", "10.1.0.100/32", "dev", "eth0")

	r := spec.Resource{ID: "links", NoLinks: &spec.NoLinks{Names: []string{"cni0", "flannel.*"}, RoutesIn: []string{"10.244.0.0/16"}, Addresses: []string{"10.1.0.100", "10.1.0.101"}}}
	got := applyIn(t, ns, r)
	for _, want := range []string{"interface cni0", "interface vethpod", "interface flannel.1", "route to 10.244.1.0/24", "address 10.1.0.100"} {
		if !strings.Contains(got, "delete "+want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if left := ip("-4", "-o", "address", "show", "dev", "eth0"); strings.Contains(left, "10.1.0.100") || !strings.Contains(left, "10.1.0.1/24") {
		t.Errorf("addresses:\n%s", left)
	}
	if l, r := names(ip("-o", "link")), ip("route"); l != links || r != routes {
		t.Errorf("links:\n%s\nwant\n%s\nroutes:\n%s\nwant\n%s", l, links, r, routes)
	}
	if again := applyIn(t, ns, r); again != "" {
		t.Errorf("second time:\n%s", again)
	}
}

// names of interfaces, without their states, which take a moment to settle.
func names(links string) string {
	var out []string
	for line := range strings.Lines(links) {
		out = append(out, strings.Fields(line)[1])
	}
	return strings.Join(out, " ")
}

func TestUnmounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var points []string
	for _, p := range []string{"kubelet", "kubelet/pods/a", "kubelet/pods/a/b c", "theirs", "netns/cni-1", "netns/other"} {
		p = filepath.Join(dir, p)
		if err := os.MkdirAll(p, 0o755); err != nil {
			t.Fatal(err)
		}
		shell(t, "", "mount", "-t", "tmpfs", "-o", "size=64k", "kforge-test", p)
		points = append(points, p)
	}
	t.Cleanup(func() {
		for i := len(points) - 1; i >= 0; i-- {
			_ = exec.Command("umount", points[i]).Run() // most are unmounted by then
		}
	})
	busy, err := os.Create(filepath.Join(points[1], "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	env := &resource.Env{Root: "/", Runner: resource.Exec{}}
	r := spec.Resource{ID: "mounts", Unmounted: &spec.Unmounted{Below: []string{filepath.Join(dir, "kubelet"), filepath.Join(dir, "netns/cni-") + "*"}}}
	made, err := resource.Apply(t.Context(), env, []spec.Resource{r}, nil)
	if err != nil || len(made) != 1 {
		t.Fatalf("%v, %v", made, err)
	}
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false, false, true, false, true} {
		if got := strings.Contains(string(raw), " "+strings.ReplaceAll(points[i], " ", `\040`)+" "); got != want {
			t.Errorf("%s is mounted: %v, want %v", points[i], got, want)
		}
	}
}

// A shim and what it started are killed, whatever they do about signals; a
// process of the same name for another namespace lives.
func TestContainers(t *testing.T) {
	t.Parallel()
	sh, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "containerd-shim-runc-v2")
	if err := os.WriteFile(program, sh, 0o755); err != nil {
		t.Fatal(err)
	}
	namespace := fmt.Sprintf("kforge-test-%d", os.Getpid())
	begin := func(ns string) (*exec.Cmd, chan error) {
		t.Helper()
		cmd := exec.Command(program, "-c", "trap '' TERM; sleep 300 & echo; wait; true", "-namespace", ns)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		go func() { done <- cmd.Wait() }()
		return cmd, done
	}
	ours, ended := begin(namespace)
	theirs, alive := begin(namespace + "-other")
	defer func() {
		theirs.Process.Kill()
		<-alive
	}()
	r := spec.Resource{ID: "pods", Containers: &spec.Containers{Namespace: namespace, Cgroups: []string{namespace + ".slice"}}}
	env := &resource.Env{Root: "/", Runner: resource.Exec{}}
	freezer := "/sys/fs/cgroup/freezer/" + namespace + ".slice"
	if _, err := os.Stat(filepath.Dir(freezer)); err == nil { // cgroup v1: systemd does not manage it
		if err := os.MkdirAll(freezer+"/pod", 0o755); err != nil && !errors.Is(err, fs.ErrPermission) {
			t.Fatal(err)
		}
	}
	made, err := resource.Apply(t.Context(), env, []spec.Resource{r}, nil)
	if _, err := os.Stat(freezer); err == nil {
		t.Errorf("%s is left", freezer)
		os.Remove(freezer + "/pod")
		os.Remove(freezer)
	}
	if err != nil || details(made) != "stop all pods: 1 containers, 2 processes" {
		t.Errorf("%s, %v", details(made), err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Errorf("process %d lives", ours.Process.Pid)
	}
	select {
	case err := <-alive:
		t.Errorf("the other one ended: %v", err)
		alive <- nil
	default:
	}
}

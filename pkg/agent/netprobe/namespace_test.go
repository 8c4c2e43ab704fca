package netprobe_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/agent/netprobe"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/wire"
)

// asked is what the test binary does when it runs itself inside a network
// namespace.
const asked = "KFORGE_NETPROBE"

func inNamespace() int {
	ports := []facts.Port{{Proto: "tcp", Port: 10250}, {Proto: "udp", Port: 8472}}
	switch os.Getenv(asked) {
	case "listen":
		err := netprobe.Listen(context.Background(), wire.Listen{Address: farAddress, Nonce: nonce, Seconds: 60, Ports: ports}, func(l []wire.Listening) { fmt.Println(l) })
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "dial":
		t := wire.Target{Address: farAddress, MTU: true}
		for _, p := range ports {
			t.Ports = append(t.Ports, wire.TargetPort{Port: p})
		}
		paths, err := netprobe.Dial(context.Background(), wire.Dial{Nonce: nonce, Seconds: 2, Targets: []wire.Target{t}})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return exitOf(json.NewEncoder(os.Stdout).Encode(paths[0]))
	}
	return 0
}

func exitOf(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

const (
	nearAddress = "10.99.1.2"
	routerNear  = "10.99.1.1"
	routerFar   = "10.99.2.1"
	farAddress  = "10.99.2.2"
)

// A router between two network namespaces plays what networks do: smaller links,
// messages that are lost, firewalls, translated addresses.
func TestBrokenNetworks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root, as all of make test does")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: make setup installs it", err)
		}
	}
	a, r, b := fmt.Sprintf("kfa%d", os.Getpid()), fmt.Sprintf("kfr%d", os.Getpid()), fmt.Sprintf("kfb%d", os.Getpid())
	for _, ns := range []string{a, r, b} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Fatalf("no network namespaces here: %s", out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	}
	run := func(line string) {
		t.Helper()
		line = strings.NewReplacer("$A", a, "$R", r, "$B", b).Replace(line)
		if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	for _, line := range []string{
		"ip -n $A link add a0 type veth peer name r0 netns $R; ip -n $B link add b0 type veth peer name r1 netns $R",
		"ip -n $A addr add " + nearAddress + "/24 dev a0; ip -n $R addr add " + routerNear + "/24 dev r0",
		"ip -n $B addr add " + farAddress + "/24 dev b0; ip -n $R addr add " + routerFar + "/24 dev r1",
		"ip -n $A link set a0 up; ip -n $R link set r0 up; ip -n $R link set r1 up; ip -n $B link set b0 up",
		"ip -n $A route add default via " + routerNear + "; ip -n $B route add default via " + routerFar,
		"ip netns exec $R sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'",
		"ip netns exec $R nft 'table ip f { chain o { type filter hook output priority 0; }; chain n { type nat hook postrouting priority 100; }; }'",
		"ip netns exec $B nft 'table ip f { chain i { type filter hook input priority 0; }; }'",
	} {
		run(line)
	}
	again := func(ns, what string) *exec.Cmd {
		cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
		cmd.Env = append(os.Environ(), asked+"="+what)
		cmd.Stderr = os.Stderr
		return cmd
	}
	far := again(b, "listen")
	out, err := far.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Process.Kill(); far.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("waiting for the far end: %v", err)
	}
	for _, tt := range []struct {
		name, setup                  string
		tcp, udp, seenAs             string
		pathMTU, hopsThere, hopsBack int
	}{
		{"whole", "true", "", "", nearAddress, 1500, 1, 1},
		{"another way back", "ip -n $A link add a1 type veth peer name b1 netns $B; ip -n $A addr add 10.99.3.1/24 dev a1; ip -n $B addr add 10.99.3.2/24 dev b1; " +
			"ip -n $A link set a1 up; ip -n $B link set b1 up; ip -n $B route add " + nearAddress + " via 10.99.3.1", "", "", nearAddress, 1500, 1, 0},
		{"a smaller link", "ip -n $A link del a1; ip -n $R link set r1 mtu 1417; ip -n $B link set b0 mtu 1417", "", "", nearAddress, 1417, 1, 1},
		{"a black hole", "ip netns exec $R nft add rule ip f o ip protocol icmp drop", "", "", nearAddress, 1417, 1, 1},
		{"udp dropped", "ip netns exec $B nft add rule ip f i udp dport 8472 drop", "", "no answer", "", 0, -1, -1},
		{"udp refused, tcp dropped", "ip netns exec $B nft flush chain ip f i; ip netns exec $B nft add rule ip f i udp dport 8472 reject; ip netns exec $B nft add rule ip f i tcp dport 10250 drop",
			"no answer", "refused", "", 0, -1, -1},
		{"translated", "ip netns exec $B nft flush chain ip f i; ip netns exec $R nft add rule ip f n masquerade", "", "", routerFar, 1417, 1, 1},
	} {
		run(tt.setup)
		raw, err := again(a, "dial").Output()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var p facts.Path
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatalf("%s: %v in %s", tt.name, err, raw)
		}
		if p.Ports[0].Error != tt.tcp || p.Ports[1].Error != tt.udp || p.SeenAs != tt.seenAs || p.PathMTU != tt.pathMTU || p.HopsThere != tt.hopsThere || p.HopsBack != tt.hopsBack {
			t.Errorf("%s: %s", tt.name, raw)
		}
	}
}

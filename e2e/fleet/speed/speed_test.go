package speed

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/cli"
)

// The test binary is the hosts and kforge too, when it runs itself as them.
func TestMain(m *testing.M) {
	args := os.Args[1:]
	switch {
	case Asked(args):
		if err := Serve(args, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(args) > 0 && (args[0] == "check" || args[0] == "plan"):
		os.Exit(cli.Main(context.Background(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, args))
	default:
		os.Exit(m.Run())
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root, as all of make test does")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "plan"} {
		var told int
		runs, err := Measure(t.Context(), Config{Kforge: self, Command: command, Hosts: 3, Runs: 2, Each: func(Run) { told++ }})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs) != 2 || told != 2 {
			t.Fatalf("%d runs, told of %d, want 2", len(runs), told)
		}
		for _, r := range runs {
			if r.Command != command || r.Hosts != 3 || r.Wall <= 0 || r.CPU <= 0 || r.HostsCPU < 0 || r.Connections != 1 || r.Sessions != 1 || r.Elsewhere != 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// Hosts that do not measure the slow one are done long before it.
func TestMeasureBesideASlowHost(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root, as all of make test does")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Measure(t.Context(), Config{Kforge: self, Command: "check", Hosts: 12, Runs: 1, Slow: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// Ten answers at the least come from the slow host.
	if r := runs[0]; r.Wall < 2 || r.Elsewhere <= 0 || r.Elsewhere >= r.Wall {
		t.Errorf("%+v", r)
	}
}

func TestMeasureTellsWhatFailed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root, as all of make test does")
	}
	_, err := Measure(t.Context(), Config{Kforge: "/bin/false", Command: "check", Hosts: 1, Runs: 1})
	if err == nil || !strings.Contains(err.Error(), "/bin/false") {
		t.Errorf("measure of a program that fails: %v", err)
	}
}

func TestParseBusy(t *testing.T) {
	t.Parallel()
	got, err := parseBusy("cpu  100 10 50 800 50 5 5 30 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	if err != nil || got != 2 {
		t.Errorf("%v seconds, %v; want 2", got, err)
	}
	for _, text := range []string{"", "cpu 1 2 3\n", "cpu a 0 0 0 0 0 0 0\n"} {
		if _, err := parseBusy(text); err == nil {
			t.Errorf("parseBusy(%q) gave no error", text)
		}
	}
}

func TestRecap(t *testing.T) {
	t.Parallel()
	all := 1 + len(tasks.FindAll(playbook, -1))
	if all < 25 {
		t.Fatalf("the book has %d tasks", all)
	}
	line := func(host string, ok, failed int) string {
		return fmt.Sprintf("%s                       : ok=%d   changed=0    unreachable=0    failed=%d    skipped=0    rescued=0    ignored=4   \n", host, ok, failed)
	}
	if err := recap("PLAY RECAP ****\n"+line("h001", all, 0)+line("h002", all, 0), 2); err != nil {
		t.Error(err)
	}
	for name, out := range map[string]string{
		"one is missing": line("h001", all, 0),
		"one failed":     line("h001", all, 0) + line("h002", all-3, 1),
		"not judged":     line("h001", all, 0) + line("h002", all, 0) + "error while evaluating conditional (x)",
		"one did less":   line("h001", all, 0) + line("h002", all-1, 0),
	} {
		if err := recap(out, 2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnsibleInventory(t *testing.T) {
	t.Parallel()
	got := ansibleInventory(state{Inventory: "/f/inventory.yaml", Hosts: map[string]host{"h002": {Port: 2, IP: "10.99.0.2"}, "h001": {Port: 1, IP: "10.99.0.1"}}})
	for _, want := range []string{"[all]\nh001 ansible_port=1 node_ip=10.99.0.1\nh002 ", "key_file=/f/key\n", "UserKnownHostsFile=/f/known_hosts "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}

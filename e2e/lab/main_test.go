package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/inventory"
)

// The Vagrantfile and the inventory beside it are about the same hosts.
func TestVagrant(t *testing.T) {
	t.Parallel()
	c, _, err := inventory.Load("vagrant/inventory.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("vagrant/Vagrantfile")
	if err != nil {
		t.Fatal(err)
	}
	machines := regexp.MustCompile(`"(\w+)" => \{ address: "([0-9.]+)"`).FindAllStringSubmatch(string(text), -1)
	if len(machines) != len(c.Hosts) || len(machines) == 0 {
		t.Errorf("%d machines and %d hosts", len(machines), len(c.Hosts))
	}
	for _, m := range machines {
		if h, ok := c.Host(m[1]); !ok || h.Address != m[2] {
			t.Errorf("%s at %s is at %q in the inventory", m[1], m[2], h.Address)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "usage: go run ./e2e/lab VERB"},
		{[]string{"fly"}, `unknown verb "fly"`},
		{[]string{"break", "-state", "STATE", "n1"}, "faults: clock-ahead clock-daemon containerd disk"},
		{[]string{"vm"}, "vm wants up, down or reboot"},
		{[]string{"vm", "fly"}, `unknown verb vm "fly"`},
		{[]string{"vm", "up", "-disks", "many"}, "want a number up to 7 and a size"},
		{[]string{"vm", "reboot", "-state", "STATE"}, "usage: lab vm reboot HOST"},
		{[]string{"exec", "-state", "STATE", "n1"}, "lab exec HOST -- CMD"},
		{[]string{"artifacts", "-state", "STATE", "-kubernetes", "v1.2"}, "want the form"},
	} {
		state := t.TempDir()
		for i := range tc.args {
			tc.args[i] = strings.ReplaceAll(tc.args[i], "STATE", state)
		}
		var stderr bytes.Buffer
		err := run(t.Context(), tc.args, nil, &bytes.Buffer{}, &stderr)
		if err == nil || !strings.Contains(stderr.String()+err.Error(), tc.want) {
			t.Errorf("run(%q) = %v, want %q", tc.args, err, tc.want)
		}
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
)

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

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

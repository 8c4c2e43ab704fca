package agent_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestClosure holds the wall around the agent: what it may import.
func TestClosure(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal("no go tool")
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{else}}std:{{.ImportPath}}{{end}}", "kforge.dev/kforge/cmd/kforge-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	ours := []string{"cmd/kforge-agent", "pkg/agent", "pkg/agent/netprobe", "pkg/diag", "pkg/facts", "pkg/facts/collect", "pkg/resource", "pkg/resource/durable", "pkg/resource/netlink", "pkg/resource/record", "pkg/spec", "pkg/wire"}
	// A few megabytes each, and a network that the agent has no use for.
	banned := []string{"std:net/http", "std:text/template", "std:crypto/tls", "std:encoding/gob"}
	for p := range strings.Lines(string(out)) {
		p = strings.TrimSpace(p)
		own, isOwn := strings.CutPrefix(p, "kforge.dev/kforge/")
		switch {
		case strings.HasPrefix(p, "std:"):
			if slices.Contains(banned, p) {
				t.Errorf("the agent imports %s", p)
			}
		case strings.HasPrefix(p, "golang.org/x/sys/"):
		case !isOwn || !slices.Contains(ours, own):
			t.Errorf("the agent imports %s: go list -deps tells by way of whom", p)
		}
	}
}

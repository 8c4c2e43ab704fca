package resource

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUnified(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, from, to, want string }{
		{"equal", "a\n", "a\n", ""},
		{"new", "", "a\n", "@@ -0,0 +1 @@\n+a\n"},
		{"gone", "a\nb\n", "", "@@ -1,2 +0,0 @@\n-a\n-b\n"},
		{"no newline", "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"},
		{"context", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"},
		{"binary", "a\x00", "b", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.TrimPrefix(unified("/f", []byte(tt.from), []byte(tt.to)), "--- /f\n+++ /f\n")
			if got != tt.want {
				t.Errorf("unified = %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPatchAcceptsOurDiffs: patch(1) turns the old text into the new one.
func TestPatchAcceptsOurDiffs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("patch"); err != nil {
		t.Fatal("patch is not installed: make setup does that")
	}
	dir := t.TempDir()
	n := 0
	text := rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n", "d\n"}), 0, 30).Draw(t, "lines")
		return strings.Join(lines, "") + rapid.SampledFrom([]string{"", "tail"}).Draw(t, "tail")
	})
	rapid.Check(t, func(rt *rapid.T) {
		from, to := text.Draw(rt, "from"), text.Draw(rt, "to")
		d := unified("f", []byte(from), []byte(to))
		if from == to || from == "" || to == "" {
			return
		}
		n++
		p := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(p, []byte(from), 0o600); err != nil {
			rt.Fatal(err)
		}
		cmd := exec.Command("patch", "-s", p)
		cmd.Stdin = strings.NewReader(d)
		if out, err := cmd.CombinedOutput(); err != nil {
			rt.Fatalf("patch: %v\n%s\n%s", err, out, d)
		}
		if got, err := os.ReadFile(p); err != nil || string(got) != to {
			rt.Fatalf("patched to %q, want %q\n%s", got, to, d)
		}
	})
}

func TestParseImages(t *testing.T) {
	t.Parallel()
	out := "REF                                TYPE                                       DIGEST        SIZE      PLATFORMS   LABELS\n" +
		"registry.k8s.io/pause:3.10.2 application/vnd.oci.image.manifest.v1+json sha256:aa 298.0 KiB linux/amd64 io.cri-containerd.image=managed\n\n"
	if got := parseImages(out); len(got) != 1 || got["registry.k8s.io/pause:3.10.2"] != "sha256:aa" {
		t.Errorf("parseImages = %v", got)
	}
}

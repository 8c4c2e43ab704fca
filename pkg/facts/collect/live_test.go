package collect

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestThisMachine collects from the machine that runs the tests: whatever it
// is, the facts that every Linux has are there, soon.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Fatal("no /proc")
	}
	start := time.Now()
	h, err := Collect(t.Context(), "/")
	took := time.Since(start)
	if err != nil {
		t.Fatalf("Collect = %v", err)
	}
	if h.Hostname == "" || h.Kernel.Release == "" || h.CPU.Logical < 1 || h.Memory.Total == 0 || len(h.Paths) == 0 || h.Paths[0].Mount == "" || h.Time.Unix == 0 {
		t.Errorf("facts are incomplete: %+v", h)
	}
	raw, err := json.MarshalIndent(h, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %s\n%s", took, raw)
}

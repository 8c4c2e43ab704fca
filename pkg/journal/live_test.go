package journal_test

import (
	"testing"

	"kforge.dev/kforge/pkg/journal"
)

func TestLive(t *testing.T) {
	t.Parallel()
	j, err := journal.Open(t.TempDir(), "apply", "lab", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !journal.Live(j.Dir()) {
		t.Error("a run that is being recorded is not live")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if journal.Live(j.Dir()) {
		t.Error("a run that has ended is live")
	}
	if journal.Live(t.TempDir()) {
		t.Error("an empty folder is live")
	}
}

package record

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStampVouchesUntilTheFileChanges(t *testing.T) {
	t.Parallel()
	s := Store{Root: t.TempDir()}
	file := filepath.Join(s.Root, "f")
	write := func(content string) os.FileInfo {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		return fi
	}
	fi := write("one")
	p := Path{Path: "/f", Digest: "sha256:1"}
	if err := s.Intend(p); err != nil {
		t.Fatal(err)
	}
	got, err := s.Path("/f")
	if err != nil || got == nil || got.Vouches(fi) {
		t.Errorf("after intent: %+v, %v; it must own and not vouch", got, err)
	}
	if err := s.Stamp(p, fi); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Path("/f"); err != nil || !got.Vouches(fi) {
		t.Errorf("after stamp: %+v, %v; it must vouch", got, err)
	}
	if got.Vouches(write("three")) {
		t.Error("it vouches for another size")
	}
	if err := s.Disown("/f"); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Path("/f"); err != nil || got != nil {
		t.Errorf("after disown: %+v, %v", got, err)
	}
	if got.Vouches(fi) {
		t.Error("no record vouches")
	}
}

func TestTornRecordsOwnNothing(t *testing.T) {
	t.Parallel()
	s := Store{Root: t.TempDir()}
	if err := s.SaveUnit(Unit{Name: "a.service"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.file("units", "a.service"), []byte(`{"name":"a.serv`), 0o600); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Unit("a.service"); err != nil || u != nil {
		t.Errorf("Unit = %+v, %v, want none", u, err)
	}
}

func TestRefusalsEndWithTheBoot(t *testing.T) {
	t.Parallel()
	s := Store{Root: t.TempDir()}
	for _, item := range []string{"a", "b"} {
		if err := s.Refuse("boot1", item); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Refused("boot1", "a") || !s.Refused("boot1", "b") || s.Refused("boot1", "c") || s.Refused("boot2", "a") {
		t.Error("refusals are not those of this boot")
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := Store{Root: t.TempDir()}
	for id, outcome := range map[string]string{"a": Done, "b": Begun} {
		if err := s.SaveCommand(Command{ID: id, Outcome: outcome}); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := s.Interrupted(); err != nil || len(ids) != 1 || ids[0] != "b" {
		t.Errorf("Interrupted = %v, %v", ids, err)
	}
}

// A cluster that somebody made by hand after our own attempt had failed is
// theirs: it must never be taken for our leftovers and reset.
func TestWhatOthersMadeLaterIsNotOurLeftovers(t *testing.T) {
	t.Parallel()
	s := Store{Root: t.TempDir()}
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	conf := filepath.Join(s.Root, "admin.conf")
	tests := []struct {
		name    string
		command Command
		written time.Duration // of admin.conf, from now
		want    bool
	}{
		{"failed, left its own file", Command{Outcome: Failed, End: at(-time.Hour)}, -2 * time.Hour, true},
		{"failed, made by somebody later", Command{Outcome: Failed, End: at(-time.Hour)}, -time.Minute, false},
		{"cut off, could still be its own", Command{Outcome: Begun, Until: at(-time.Hour)}, -2 * time.Hour, true},
		{"cut off, made by somebody later", Command{Outcome: Begun, Until: at(-time.Hour)}, -time.Minute, false},
		{"cut off, nothing tells when it was over", Command{Outcome: Begun}, 0, true},
		{"done", Command{Outcome: Done, End: at(-time.Hour)}, -2 * time.Hour, false},
	}
	for _, tt := range tests {
		tt.command.Unless = []string{"/admin.conf"}
		if err := os.WriteFile(conf, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(tt.written)
		if err := os.Chtimes(conf, when, when); err != nil {
			t.Fatal(err)
		}
		if got := s.WasInterrupted(&tt.command); got != tt.want {
			t.Errorf("%s: WasInterrupted = %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	if !s.WasInterrupted(&Command{Outcome: Failed, End: at(-time.Hour), Unless: []string{"/admin.conf"}}) {
		t.Error("failed, nothing there: not taken for interrupted")
	}
}

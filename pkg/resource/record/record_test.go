package record

import (
	"os"
	"path/filepath"
	"testing"
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

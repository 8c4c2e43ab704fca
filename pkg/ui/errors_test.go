package ui

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
	"kforge.dev/kforge/pkg/event"
)

func TestError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	if err := os.WriteFile(file, []byte("hosts:\n  gpu-03:\n\tprot: 22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var list errlist.List
	list.Add(diag.New(diag.Invalid, "", `unknown key "prot"`).At(diag.Position{File: file, Line: 3, Col: 2}).WithHint(`did you mean "port"?`))
	list.Add(fmt.Errorf("reading: %w", diag.New(diag.Invalid, "", "a host has no address").At(diag.Position{File: file, Line: 2})))
	full := func(host string) error {
		return &diag.Error{Kind: diag.NoSpace, Op: "upload agent", Host: host, Step: host + "/agent", Err: errors.New("no space left on device"), Hint: "free 10 MB on /var\nor move /var/lib"}
	}
	for _, tt := range []struct {
		name string
		err  error
		o    Options
	}{
		{"error-plain", errors.New("disk \x1b[2J on fire\nand spreading"), Options{}},
		{"error-positions", list.Err(), Options{}},
		{"error-positions-color", list.Err(), Options{Color: true}},
		{"error-hosts", diag.Wrap(diag.Partial, "apply", errors.Join(full("n1"), diag.New(diag.Auth, "connect", "all keys refused").On("n3"), full("n2"))).WithHint("then run the same command again"), Options{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			Error(&b, tt.err, tt.o)
			golden(t, tt.name, strings.ReplaceAll(b.String(), file, "inventory.yaml"))
		})
	}
}

func TestErrorOfNothingIsSilent(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if Error(&b, nil, Options{}); b.Len() > 0 {
		t.Errorf("Error(nil) wrote %q", b.String())
	}
}

func TestUntold(t *testing.T) {
	t.Parallel()
	told, other := diag.New(diag.Command, "", "broken").On("n1"), errors.New("the lock is lost")
	s := &event.SummaryData{Results: []event.HostResult{{Host: "n1", Error: told}}}
	if err := Untold(diag.Wrap(diag.Partial, "", errors.Join(told)), s); err != nil {
		t.Errorf("Untold = %v, want nil", err)
	}
	if err := Untold(errors.Join(told, other), s); err == nil || err.Error() != "the lock is lost" {
		t.Errorf("Untold = %v", err)
	}
	if err := Untold(other, nil); err != other { //nolint:errorlint // the very error
		t.Errorf("Untold without a summary = %v", err)
	}
}

func fullDisk(host string) *diag.Error {
	return diag.New(diag.NoSpace, "import image", "no space left on device").On(host).WithHint("free some space")
}

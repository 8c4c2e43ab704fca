package errlist

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

func TestListSortsByPosition(t *testing.T) {
	t.Parallel()
	var l List
	l.Add(nil)
	if l.Err() != nil {
		t.Fatal("empty list is an error")
	}
	l.Add(diag.New(diag.Invalid, "", "b").At(diag.Position{File: "f", Line: 9, Col: 1}))
	l.Add(diag.New(diag.Invalid, "", "a").At(diag.Position{File: "f", Line: 2, Col: 7}))
	var got []string
	for _, e := range Flatten(l.Err()) {
		got = append(got, e.Error())
	}
	if d := cmp.Diff([]string{"f:2:7: a", "f:9:1: b"}, got); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

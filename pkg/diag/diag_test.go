package diag

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("no space left on device")
	tests := []struct {
		name string
		err  *Error
		want string
	}{
		{"position and message", New(Invalid, "", "unknown key %q", "prot").At(Position{"inventory.yaml", 14, 5}), `inventory.yaml:14:5: unknown key "prot"`},
		{"host, operation, cause", Wrap(NoSpace, "upload agent", cause).On("n1"), "n1: upload agent: no space left on device"},
		{"host is not said twice", Wrap(Unknown, "apply", Wrap(NoSpace, "write file", cause).On("n1")).On("n1"), "apply: n1: write file: no space left on device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("Error() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestChainIsSearchedThroughForeignWraps(t *testing.T) {
	t.Parallel()
	inner := Wrap(Sudo, "become root", errors.New("a password is required")).On("n2").WithHint("allow sudo")
	err := fmt.Errorf("starting: %w", &Error{Op: "apply", Err: fmt.Errorf("host: %w", inner)})
	if got := KindOf(err); got != Sudo {
		t.Errorf("KindOf = %q, want %q", got, Sudo)
	}
	if got := Hint(err); got != "allow sudo" {
		t.Errorf("Hint = %q", got)
	}
	if got := HostOf(err); got != "n2" {
		t.Errorf("HostOf = %q", got)
	}
	if KindOf(fmt.Errorf("x: %w", context.DeadlineExceeded)) != Timeout {
		t.Error("a passed deadline is not a Timeout")
	}
}

func TestJSONKeepsWhatAPersonNeeds(t *testing.T) {
	t.Parallel()
	in := Wrap(Command, "kubeadm init", errors.New("exit status 1")).On("n1").WithHint("look at the log")
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out Error
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	want := Error{Kind: Command, Op: "kubeadm init", Host: "n1", Msg: "exit status 1", Hint: "look at the log"}
	if d := cmp.Diff(want, out); d != "" {
		t.Errorf("round trip (-want +got):\n%s", d)
	}
}

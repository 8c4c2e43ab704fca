package cli

import (
	"errors"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// Exit codes; docs/exit-codes.md tells them to users.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitChanges     = 2 // plan --detailed-exitcode: there are changes
	ExitPartial     = 3
	ExitInvalid     = 4
	ExitPreflight   = 5
	ExitConsent     = 6
	ExitLocked      = 7
	ExitInterrupted = 130
)

// exitError ends with a code and prints nothing: its command has shown all.
type exitError struct{ code int }

func (*exitError) Error() string { return "" }

// ExitCode is the one place that turns an error into an exit code. Of several
// errors, an interruption counts first, then a partial success, then a lock,
// then the first error's kind.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	var silent *exitError
	if errors.As(err, &silent) {
		return silent.code
	}
	kinds := map[diag.Kind]bool{diag.KindOf(err): true}
	for _, e := range errlist.Flatten(err) {
		kinds[diag.KindOf(e)] = true
	}
	for _, c := range []struct {
		kind diag.Kind
		code int
	}{
		{diag.Canceled, ExitInterrupted},
		{diag.Partial, ExitPartial},
		{diag.Locked, ExitLocked},
		{diag.Consent, ExitConsent},
		{diag.Invalid, ExitInvalid},
	} {
		if kinds[c.kind] {
			return c.code
		}
	}
	if kinds[diag.Preflight] && len(kinds) == 1 {
		return ExitPreflight
	}
	if diag.KindOf(err) == diag.Preflight {
		return ExitPreflight
	}
	return ExitFailed
}

package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/ui"
)

// ending keeps the last event of a run, so that what the renderers have told
// of its errors is not told again.
type ending struct {
	json    bool // the renderer writes JSON to stdout
	summary *event.SummaryData
}

// Event, Suspend and Close make ending a renderer that draws nothing. The
// journal has handed on all events before a run returns.
func (d *ending) Event(e event.Event) {
	if e.Event == event.Summary {
		d.summary = e.SummaryData
	}
}
func (*ending) Suspend(f func()) { f() }
func (*ending) Close()           {}

// errorEvent is how a command that was asked for JSON ends when it fails
// before, or without, a run's summary.
type errorEvent struct {
	Event string      `json:"event"` // "error"
	Error *diag.Error `json:"error"`
	// Errors are the single ones when there are several, as in an inventory.
	Errors []*diag.Error `json:"errors,omitempty"`
}

// tell prints an error for a person; a command that was asked for JSON gets
// it as JSON on stdout too, unless the summary has it.
func (a *app) tell(err error, args []string) {
	var silent *exitError
	if errors.As(err, &silent) {
		return
	}
	told := a.ended != nil && a.ended.summary != nil
	if wantsJSON(args) && (!told || !a.ended.json) {
		_ = json.NewEncoder(a.streams.Out).Encode(asEvent(err)) // a reader that is gone needs no error
	}
	if told && !a.ended.json {
		if err = ui.Untold(err, a.ended.summary); err == nil {
			return
		}
	}
	ui.Error(a.streams.Err, err, a.uiOptions(a.streams.Err))
}

func asEvent(err error) errorEvent {
	e := errorEvent{Event: "error", Error: diag.From(err)}
	all := errlist.Flatten(err)
	if len(all) < 2 {
		return e
	}
	e.Error = diag.New(diag.KindOf(err), "", "%d errors", len(all))
	if outer, ok := err.(*diag.Error); ok && outer.Msg != "" { //nolint:errorlint // only the outermost speaks for all
		e.Error.Msg = outer.Msg
	}
	for _, one := range all {
		e.Errors = append(e.Errors, diag.From(one))
	}
	if e.Error.Kind == diag.Unknown {
		e.Error.Kind = e.Errors[0].Kind
	}
	return e
}

// wantsJSON looks at the arguments, since a flag that cannot be read leaves
// the others unread.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "-ojson" || arg == "-o=json" || arg == "--output=json" || (arg == "json" && i > 0 && (args[i-1] == "-o" || args[i-1] == "--output")) {
			return true
		}
	}
	return false
}

// plural gives "1 host" or "3 hosts".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

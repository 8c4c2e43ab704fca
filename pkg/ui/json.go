package ui

import (
	"encoding/json"
	"io"

	"kforge.dev/kforge/pkg/event"
)

// JSON writes each event as a line, exactly as it is recorded.
type JSON struct{ enc *json.Encoder }

// NewJSON makes a renderer for programs.
func NewJSON(w io.Writer) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSON{enc: enc}
}

// Event writes the event. A reader that has gone away does not stop the run.
func (j *JSON) Event(e event.Event) { _ = j.enc.Encode(e) }

// Suspend calls f: there is no view to be disturbed.
func (j *JSON) Suspend(f func()) { f() }

// Close does nothing: each line is written at once.
func (j *JSON) Close() {}

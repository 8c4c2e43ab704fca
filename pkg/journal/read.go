package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// Read gives the events of a recorded run; path is its events.jsonl or its
// folder. A last line that was cut (the machine went down) is left out; any
// other line that is no event is an error with its place.
func Read(path string) ([]event.Event, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, EventsFile)
	}
	f, err := os.Open(path)
	if err != nil {
		kind := diag.Permission
		if errors.Is(err, os.ErrNotExist) {
			kind = diag.NotFound
		}
		return nil, diag.Wrap(kind, "read the record of a run", err)
	}
	defer f.Close()
	var events []event.Event
	in := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		cut := errors.Is(err, io.EOF)
		if err != nil && !cut {
			return nil, diag.Wrap(diag.Unknown, "read the record of a run", err).At(diag.Position{File: path, Line: n})
		}
		if strings.TrimSpace(line) != "" {
			var e event.Event
			if err := json.Unmarshal([]byte(line), &e); err == nil {
				events = append(events, e)
			} else if !cut {
				return nil, diag.Wrap(diag.Invalid, "read the record of a run", err).At(diag.Position{File: path, Line: n})
			}
		}
		if cut {
			return events, nil
		}
	}
}

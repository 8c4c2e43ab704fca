package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/wire"
)

// maxJournal is the size in bytes at which the journal is put aside, once:
// with its last line it is no more than one request reads, so that all of it
// can be looked at.
const maxJournal = wire.MaxRead - 64<<10

// Entry is a line of the host's journal: one change that was made, or tried.
type Entry struct {
	Time     string      `json:"time"` // RFC 3339, UTC
	Run      string      `json:"run"`
	Version  string      `json:"version"`
	Resource string      `json:"resource"`
	Action   spec.Action `json:"action"`
	Detail   string      `json:"detail,omitempty"`
	Outcome  string      `json:"outcome"` // "ok" or the error
}

// journal appends to /var/lib/kforge/journal.jsonl under the root.
type journal struct {
	mu   sync.Mutex
	path string
	now  func() time.Time
}

func newJournal(root string, now func() time.Time) *journal {
	return &journal{path: filepath.Join(root, record.Journal), now: now}
}

func (j *journal) add(run, version string, c spec.Change, failure error) error {
	e := Entry{
		Time: j.now().UTC().Format(time.RFC3339), Run: run, Version: version,
		Resource: c.Resource, Action: c.Action, Detail: c.Detail, Outcome: "ok",
	}
	if failure != nil {
		e.Outcome = failure.Error()
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding journal entry: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(j.path), 0o700); err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if fi, err := os.Stat(j.path); err == nil && fi.Size() > maxJournal {
		if err := os.Rename(j.path, j.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("putting journal aside: %w", err)
		}
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("writing journal: %w", err)
	}
	if _, err := f.Write(append(raw, '\n')); err != nil {
		f.Close()
		return fmt.Errorf("writing journal: %w", err)
	}
	return f.Close()
}

// Package journal keeps the record of a run on the admin's machine: every event
// in events.jsonl, the same for people in run.log. It numbers and stamps the
// events and passes them on to the renderers. A renderer, or a full disk, never
// stops the run.
package journal

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// Names of the files in the folder of a run.
const (
	EventsFile = "events.jsonl"
	LogFile    = "run.log"
)

// Keep is how many runs are kept; older ones go when a new one begins.
const Keep = 50

// Renderer shows events to somebody.
type Renderer interface {
	Event(event.Event)
	Close()
}

// Journal is the record of one run. It is safe for concurrent use.
type Journal struct {
	id  string
	dir string
	now func() time.Time

	mu     sync.Mutex
	seq    int
	events *os.File
	enc    *json.Encoder // to events
	log    *os.File
	buf    *bufio.Writer // of log
	feeds  []*feed
	err    error // first failure to write
	closed bool
}

// DefaultDir is $XDG_STATE_HOME/kforge/runs, by default
// ~/.local/state/kforge/runs.
func DefaultDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "kforge", "runs"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", diag.Wrap(diag.NotFound, "find the home directory", err).WithHint("set XDG_STATE_HOME to a directory for kforge's records")
	}
	return filepath.Join(home, ".local", "state", "kforge", "runs"), nil
}

// Open begins a record: a folder like 20261123T154913Z-apply-lab-k3v9q2 in dir,
// readable by its owner only. Old runs beyond Keep are removed.
func Open(dir, command, cluster string, now func() time.Time) (*Journal, error) {
	if now == nil {
		now = time.Now
	}
	parts := []string{now().UTC().Format("20060102T150405Z")}
	for _, p := range []string{command, cluster, strings.ToLower(rand.Text()[:6])} {
		if p = nameable(p); p != "" {
			parts = append(parts, p)
		}
	}
	j := &Journal{id: strings.Join(parts, "-"), now: now}
	j.dir = filepath.Join(dir, j.id)
	fail := func(err error) (*Journal, error) {
		return nil, diag.Wrap(diag.KindOf(err), "open the record of this run", err).
			WithHint("set XDG_STATE_HOME to a directory that you can write to")
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return fail(err)
	}
	var err error
	if j.events, err = create(j.dir, EventsFile); err != nil {
		return fail(err)
	}
	hold(j.events)
	if j.log, err = create(j.dir, LogFile); err != nil {
		return fail(errors.Join(err, j.events.Close()))
	}
	j.buf = bufio.NewWriter(j.log)
	j.enc = json.NewEncoder(j.events)
	j.enc.SetEscapeHTML(false)
	// Not being able to tidy up is no reason not to run: it is told by Close.
	j.err = prune(dir, Keep)
	return j, nil
}

// ID names the run; it is the name of its folder.
func (j *Journal) ID() string { return j.id }

// Dir is the folder of the run.
func (j *Journal) Dir() string { return j.dir }

// EventsPath is the file of all events.
func (j *Journal) EventsPath() string { return filepath.Join(j.dir, EventsFile) }

// LogPath is the file for people.
func (j *Journal) LogPath() string { return filepath.Join(j.dir, LogFile) }

// Attach makes r see all events from now on. Its Event is called by one
// goroutine, in order; Close of the journal waits for it and closes it.
func (j *Journal) Attach(r Renderer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		r.Close()
		return
	}
	j.feeds = append(j.feeds, newFeed(r))
}

// Sink is the first sink of a run.
func (j *Journal) Sink() event.Sink { return j.take }

func (j *Journal) take(e event.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	j.seq++
	e.Seq, e.Time = j.seq, j.now().UTC()
	if e.Event == event.RunStart && e.Run == "" {
		e.Run = j.id
	}
	j.write(e)
	for _, f := range j.feeds {
		f.push(e)
	}
}

// write keeps the first error and goes on: the next event may fit again.
func (j *Journal) write(e event.Event) {
	err := j.enc.Encode(e)
	if text := logLine(e); err == nil && text != "" {
		_, err = j.buf.WriteString(text)
		if e.Event != event.Output && err == nil {
			err = j.buf.Flush()
		}
	}
	if err != nil {
		j.keep(err)
	}
}

func (j *Journal) keep(err error) {
	if j.err == nil {
		j.err = diag.Wrap(diag.KindOf(err), "write the record of this run", err)
	}
}

// Close ends the record and waits until the renderers have shown everything.
// Its error tells that the record is not whole; the run itself is not affected.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return j.err
	}
	j.closed = true
	feeds := j.feeds
	for _, err := range []error{j.buf.Flush(), j.log.Close(), j.events.Close()} {
		if err != nil {
			j.keep(err)
		}
	}
	j.mu.Unlock()
	for _, f := range feeds {
		f.close()
	}
	return j.err
}

func create(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
}

// nameable keeps what is safe in a file name.
func nameable(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_':
			return r
		}
		return '-'
	}, s), "-.")
}

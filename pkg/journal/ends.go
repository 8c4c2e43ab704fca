package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// Ends gives the first event of a record, and its last when that is the
// summary; nil for what is not there, as in a record that was cut. It reads a
// few kilobytes of what may be many megabytes. path is as for Read.
func Ends(path string) (first, summary *event.Event, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, EventsFile)
	}
	f, err := os.Open(path)
	if err != nil {
		kind := diag.Permission
		if errors.Is(err, os.ErrNotExist) {
			kind = diag.NotFound
		}
		return nil, nil, diag.Wrap(kind, "read the record of a run", err)
	}
	defer f.Close()
	if line, err := bufio.NewReader(f).ReadBytes('\n'); err == nil || errors.Is(err, io.EOF) {
		first = decode(line)
	}
	line, err := lastLine(f)
	if err != nil {
		return nil, nil, diag.Wrap(diag.Unknown, "read the record of a run", err)
	}
	if last := decode(line); last != nil && last.Event == event.Summary {
		summary = last
	}
	return first, summary, nil
}

func decode(line []byte) *event.Event {
	var e event.Event
	if json.Unmarshal(line, &e) != nil {
		return nil // cut, or no event at all
	}
	return &e
}

// lastLine reads backwards, more each time, until it has a whole line. The
// summary of a big fleet is long.
func lastLine(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	for n := int64(32 << 10); ; n *= 8 {
		n = min(n, info.Size())
		tail := make([]byte, n)
		if _, err := f.ReadAt(tail, info.Size()-n); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		tail = bytes.TrimRight(tail, "\n")
		if i := bytes.LastIndexByte(tail, '\n'); i >= 0 || n == info.Size() {
			return tail[i+1:], nil
		}
	}
}

// Package record keeps what the agent remembers on a host between runs: which
// paths are ours and with what content, what a unit was last started with, and
// which commands began and ended. Records are small JSON files, each replaced
// atomically, so that a crash leaves the old one or the new one.
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"kforge.dev/kforge/pkg/resource/durable"
)

// StateDir holds everything that kforge keeps on a host, under its root.
const StateDir = "/var/lib/kforge"

// Journal is where the agent writes down each change that it makes.
const Journal = StateDir + "/journal.jsonl"

// Path is the record of an owned path. Digest is written before the path takes
// its content, the rest after: a crash in between leaves a record that owns the
// path and vouches for nothing.
type Path struct {
	Path   string `json:"path"`
	Digest string `json:"digest,omitempty"` // of a regular file
	Target string `json:"target,omitempty"` // of a symlink
	Size   int64  `json:"size,omitempty"`
	Mtime  int64  `json:"mtime,omitempty"` // nanoseconds
	Ctime  int64  `json:"ctime,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
}

// Stamp fills in the stat fields.
func (p *Path) Stamp(fi fs.FileInfo) {
	p.Size, p.Mtime = fi.Size(), fi.ModTime().UnixNano()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		p.Ctime, p.Inode = ctime(st), st.Ino
	}
}

// Vouches tells whether the file still is the one that was stamped, so that its
// digest holds without reading it.
func (p *Path) Vouches(fi fs.FileInfo) bool {
	if p == nil || p.Digest == "" || p.Inode == 0 {
		return false
	}
	now := Path{Path: p.Path, Digest: p.Digest, Target: p.Target}
	now.Stamp(fi)
	return now == *p
}

func ctime(st *syscall.Stat_t) int64 {
	sec, nsec := st.Ctim.Unix()
	return sec*1e9 + nsec
}

// Member is one member that an archive put in place.
type Member struct {
	Path   string `json:"path"`
	Digest string `json:"digest,omitempty"`
	Target string `json:"target,omitempty"`
	Mode   uint32 `json:"mode,omitempty"` // permission bits of a regular file
}

// Archive is the record of an unpacked archive.
type Archive struct {
	ID      string   `json:"id"`
	Digest  string   `json:"digest"`
	Dest    string   `json:"dest"`
	Strip   int      `json:"strip,omitempty"`
	Only    []string `json:"only,omitempty"`
	Members []Member `json:"members"`
}

// Unit is what a unit was last started with.
type Unit struct {
	Name       string `json:"name"`
	Inputs     string `json:"inputs"` // digest over the contents of its inputs
	Invocation string `json:"invocation"`
	BootID     string `json:"bootID"`
}

// Outcomes of commands.
const (
	Begun  = "begun"
	Done   = "done"
	Failed = "failed"
)

// Command is the last run of a command resource.
type Command struct {
	ID      string `json:"id"`
	Argv    string `json:"argv"` // digest of argv and environment
	Outcome string `json:"outcome"`
	Exit    int    `json:"exit,omitempty"`
	Begin   string `json:"begin"` // RFC 3339
	End     string `json:"end,omitempty"`
	Run     string `json:"run,omitempty"`
	// Unless are the paths that a good run leaves, and Until is when a run that
	// has no End was over at the latest, RFC 3339: its time-outs bound it.
	Unless []string `json:"unless,omitempty"`
	Until  string   `json:"until,omitempty"`
}

// Refusals are settings that the kernel would not take since this boot.
type Refusals struct {
	BootID string          `json:"bootID"`
	Items  map[string]bool `json:"items"`
}

// Store reads and writes records below a root directory.
type Store struct {
	Root string
	// Later syncs records that may be lost in a power cut without harm; nil
	// syncs them at once.
	Later *durable.Queue
}

// Dir holds all records, as a path of the host.
func (s Store) Dir() string { return filepath.Join(StateDir, "state") }

func (s Store) dir(kind string) string {
	return filepath.Join(s.Root, s.Dir(), kind)
}

func (s Store) file(kind, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.dir(kind), hex.EncodeToString(sum[:16])+".json")
}

// Load reads the record of key into v. Without one, or with one that cannot be
// decoded (which owns and vouches for nothing), ok is false.
func (s Store) load(kind, key string, v any) (ok bool, err error) {
	raw, err := os.ReadFile(s.file(kind, key))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading record of %s: %w", key, err)
	}
	return json.Unmarshal(raw, v) == nil, nil
}

// When a record must be safe on disk.
type when int

const (
	never when = iota // losing it costs time only
	later             // by the end of the run
	now               // before what comes next
)

func (s Store) save(kind, key string, v any, safe when) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding record of %s: %w", key, err)
	}
	if err := os.MkdirAll(s.dir(kind), 0o700); err != nil {
		return fmt.Errorf("making state directory: %w", err)
	}
	if err := s.replace(s.file(kind, key), append(raw, '\n'), safe); err != nil {
		return fmt.Errorf("writing record of %s: %w", key, err)
	}
	return nil
}

func (s Store) remove(kind, key string) error {
	if err := os.Remove(s.file(kind, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing record of %s: %w", key, err)
	}
	return nil
}

func (s Store) replace(path string, raw []byte, safe when) error {
	if safe == later && !s.Later.Deferred() {
		safe = now
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil && safe == now {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	switch {
	case err != nil || safe == never:
	case safe == now:
		err = durable.Now(filepath.Dir(path))
	default:
		err = errors.Join(s.Later.Sync(path), s.Later.Sync(filepath.Dir(path)))
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

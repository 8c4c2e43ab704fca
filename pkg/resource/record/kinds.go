package record

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Path gives the record of an owned path, nil when it is not ours.
func (s Store) Path(path string) (*Path, error) {
	var p Path
	ok, err := s.load("files", path, &p)
	if err != nil || !ok || p.Path != path {
		return nil, err
	}
	return &p, nil
}

// Intend says that path is ours, before its content is put in place. A power
// cut that loses it loses the content too, or leaves it whole and ours to adopt.
func (s Store) Intend(p Path) error { return s.save("files", p.Path, p, later) }

// Stamp records what the file at path looks like now that it holds the content
// of p. Losing it in a crash costs a hash, so it is not made durable.
func (s Store) Stamp(p Path, fi fs.FileInfo) error {
	p.Stamp(fi)
	return s.save("files", p.Path, p, never)
}

// Disown forgets an owned path.
func (s Store) Disown(path string) error { return s.remove("files", path) }

// Paths gives the records of all owned paths, in no order.
func (s Store) Paths() ([]Path, error) {
	var out []Path
	err := s.each("files", func(raw []byte) {
		var p Path
		if json.Unmarshal(raw, &p) == nil && p.Path != "" {
			out = append(out, p)
		}
	})
	return out, err
}

// directory is the record of a directory that we made.
type directory struct {
	Dir string `json:"dir"`
}

// Made records a directory of ours, so that a reset can take it away when it is
// empty.
func (s Store) Made(dir string) error { return s.save("dirs", dir, directory{dir}, later) }

// Dirs gives all directories of ours, in no order.
func (s Store) Dirs() ([]string, error) {
	var out []string
	err := s.each("dirs", func(raw []byte) {
		var d directory
		if json.Unmarshal(raw, &d) == nil && d.Dir != "" {
			out = append(out, d.Dir)
		}
	})
	return out, err
}

// each hands on all records of a kind.
func (s Store) each(kind string, see func(raw []byte)) error {
	entries, err := os.ReadDir(s.dir(kind))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(s.dir(kind), e.Name()))
		if err != nil {
			return err
		}
		see(raw)
	}
	return nil
}

// Archive gives the record of an archive resource, nil when there is none.
func (s Store) Archive(id string) (*Archive, error) {
	var a Archive
	ok, err := s.load("archives", id, &a)
	if err != nil || !ok || a.ID != id {
		return nil, err
	}
	return &a, nil
}

// SaveArchive replaces the record of an archive.
func (s Store) SaveArchive(a Archive) error { return s.save("archives", a.ID, a, later) }

// Unit gives the record of a unit, nil when there is none.
func (s Store) Unit(name string) (*Unit, error) {
	var u Unit
	ok, err := s.load("units", name, &u)
	if err != nil || !ok || u.Name != name {
		return nil, err
	}
	return &u, nil
}

// SaveUnit replaces the record of a unit.
func (s Store) SaveUnit(u Unit) error { return s.save("units", u.Name, u, later) }

// Command gives the record of a command, nil when it never began.
func (s Store) Command(id string) (*Command, error) {
	var c Command
	ok, err := s.load("commands", id, &c)
	if err != nil || !ok || c.ID != id {
		return nil, err
	}
	return &c, nil
}

// SaveCommand replaces the record of a command. It is safe on disk when it
// returns: a command that began must never be taken for one that did not.
func (s Store) SaveCommand(c Command) error { return s.save("commands", c.ID, c, now) }

// WasInterrupted reports whether the command began and did not end well, so that
// what it left behind is not to be trusted. It does not hold when all that a
// good run leaves was written after the command was over: then somebody else
// has made it, and it is theirs.
func (s Store) WasInterrupted(c *Command) bool {
	if c == nil || c.Outcome == Done {
		return false
	}
	end := c.End
	if end == "" {
		end = c.Until
	}
	over, err := time.Parse(time.RFC3339, end)
	if err != nil || len(c.Unless) == 0 {
		return true
	}
	for _, path := range c.Unless {
		fi, err := os.Lstat(filepath.Join(s.Root, path))
		// Records tell whole seconds.
		if err != nil || !fi.ModTime().After(over.Add(time.Second)) {
			return true
		}
	}
	return false
}

// Interrupted lists the ids of commands that began and did not end well.
func (s Store) Interrupted() ([]string, error) {
	var ids []string
	err := s.each("commands", func(raw []byte) {
		var c Command
		if json.Unmarshal(raw, &c) == nil && s.WasInterrupted(&c) {
			ids = append(ids, c.ID)
		}
	})
	return ids, err
}

// Refused reports whether the kernel refused this item since the boot.
func (s Store) Refused(bootID, item string) bool {
	var r Refusals
	ok, err := s.load("kernel", "refusals", &r)
	return err == nil && ok && r.BootID == bootID && r.Items[item]
}

// Refuse records that the kernel refused this item in this boot.
func (s Store) Refuse(bootID, item string) error {
	var r Refusals
	if ok, err := s.load("kernel", "refusals", &r); err != nil || !ok || r.BootID != bootID {
		r = Refusals{BootID: bootID}
	}
	if r.Items == nil {
		r.Items = map[string]bool{}
	}
	r.Items[item] = true
	return s.save("kernel", "refusals", r, never)
}

package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
)

// Entry is what the lock file records of one item.
type Entry struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Kind    Kind   `json:"kind"`
	// Source is the official address, whatever mirror it came from.
	Source string `json:"source"`
	// SHA256 of the file, or of the image's OCI archive: 64 hex digits.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes of that
	// Manifest is "sha256:hex" of an image's manifest for this architecture.
	Manifest string `json:"manifest,omitempty"`
}

// identity is the digest that must not change: an image's archive may be laid
// out otherwise by another version of kforge, its manifest may not.
func (e Entry) identity() string {
	if e.Kind == Image {
		return e.Manifest
	}
	return "sha256:" + e.SHA256
}

func (e Entry) key() key { return key{e.Source, e.Arch} }

// key identifies an artifact: one source may serve several architectures.
type key struct{ source, arch string }

func keyOf(i Item) key { return key{i.Source(), i.Arch} }

// LockPath is the lock file that belongs to an inventory: NAME.bundle.lock
// beside NAME.yaml.
func LockPath(inventory string) string {
	return strings.TrimSuffix(inventory, filepath.Ext(inventory)) + ".bundle.lock"
}

const lockHeader = `# Lock file of kforge: each artifact by version, source and SHA-256.
# Keep it with the inventory. An artifact that differs from its entry is refused;
# remove the entry, or run "kforge bundle create --update", to take a new one.
`

// lockDocument is the lock file as YAML.
type lockDocument struct {
	Version int     `json:"version"` // of this format: 1
	Items   []Entry `json:"items"`
}

// encodeLock gives the file: sorted, so that equal locks are equal bytes.
func encodeLock(entries []Entry) ([]byte, error) {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Source, b.Source))
	})
	body, err := yaml.Marshal(lockDocument{Version: 1, Items: sorted})
	if err != nil {
		return nil, fmt.Errorf("encode lock file: %w", err)
	}
	return append([]byte(lockHeader), body...), nil
}

// decodeLock reads what encodeLock wrote, or a person edited; name is for errors.
func decodeLock(raw []byte, name string) ([]Entry, error) {
	op := "read lock file " + name
	var doc lockDocument
	if err := yaml.UnmarshalStrict(raw, &doc); err != nil {
		return nil, diag.Wrap(diag.Invalid, op, err).
			WithHint("restore it from version control, or remove it to lock afresh")
	}
	if doc.Version != 1 {
		return nil, diag.New(diag.Unsupported, op, "format version %d is not known", doc.Version).
			WithHint("it was written by a newer kforge: use that one")
	}
	for _, e := range doc.Items {
		if !isHex256(e.SHA256) || e.Source == "" || e.Arch == "" || e.Size < 0 ||
			(e.Kind == Image && !isHex256(strings.TrimPrefix(e.Manifest, "sha256:"))) {
			return nil, diag.New(diag.Invalid, op, "the entry of %s %s (%s) is not complete", e.Name, e.Version, e.Arch).
				WithHint("remove the entry to lock it afresh")
		}
	}
	return doc.Items, nil
}

func isHex256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// lock is the lock file in memory. The file is written by add only.
type lock struct {
	path  string // "" for memory only
	guard string // file to flock while path is rewritten

	mu      sync.Mutex
	entries map[key]Entry
}

func loadLock(path, guard string) (*lock, error) {
	l := &lock{path: path, guard: guard, entries: map[key]Entry{}}
	entries, err := l.read()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		l.entries[e.key()] = e
	}
	return l, nil
}

func (l *lock) read() ([]Entry, error) {
	if l.path == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lock file: %w", err)
	}
	return decodeLock(raw, l.path)
}

func (l *lock) get(k key) (Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.entries[k]
	return e, ok
}

// add records entries, in memory and in the file. What another process wrote
// meanwhile stays; where it locked the same artifact otherwise, that is an
// error of kind digest, unless update is set.
func (l *lock) add(entries []Entry, update bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := false
	for _, e := range entries {
		changed = changed || l.entries[e.key()] != e
		l.entries[e.key()] = e
	}
	if l.path == "" || !changed {
		return nil
	}
	release, err := lockFile(l.guard)
	if err != nil {
		return err
	}
	defer release()
	onDisk, err := l.read()
	if err != nil {
		return err
	}
	merged := map[key]Entry{}
	for _, e := range onDisk {
		merged[e.key()] = e
	}
	for _, e := range entries {
		if old, ok := merged[e.key()]; ok && !update && old.identity() != e.identity() {
			return lockMismatch(old, e.identity(), l.path)
		}
		merged[e.key()] = e
	}
	var all []Entry
	for _, e := range merged {
		all = append(all, e)
	}
	raw, err := encodeLock(all)
	if err != nil {
		return err
	}
	return writeAtomic(l.path, raw)
}

// lockMismatch tells that the source gave other content than what was locked.
func lockMismatch(locked Entry, got, path string) error {
	where := "the lock"
	if path != "" {
		where = path
	}
	return diag.New(diag.Digest, "check "+locked.Name+" "+locked.Version+" ("+locked.Arch+")",
		"%s gave %s, expected %s as locked in %s", locked.Source, got, locked.identity(), where).
		WithHint("the artifact changed after it was locked; if that is meant to be, remove its entry from %s or run \"kforge bundle create --update\"", where)
}

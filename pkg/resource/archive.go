package resource

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

type archiveKind struct {
	id   string
	want *spec.Archive
}

type archiveState struct {
	archiveKind
	rec     *record.Archive // of what was unpacked, nil when nothing was
	changed []string        // members that are not as recorded
	foreign []string        // files of somebody else that are taken over
}

func (k archiveKind) observe(ctx context.Context, s *session) (observed, error) {
	if err := checkDigest(k.want.Blob.Digest); err != nil {
		return nil, err
	}
	st := &archiveState{archiveKind: k}
	var err error
	if st.rec, err = s.records.Archive(k.id); err != nil || st.rec == nil {
		return st, err
	}
	for _, m := range st.rec.Members {
		ok, err := memberAsRecorded(ctx, s, m)
		if err != nil {
			return nil, err
		}
		if !ok {
			st.changed = append(st.changed, m.Path)
		}
	}
	return st, nil
}

func memberAsRecorded(ctx context.Context, s *session, m record.Member) (bool, error) {
	fi, err := os.Lstat(s.path(m.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if m.Target != "" {
		target, err := os.Readlink(s.path(m.Path))
		return err == nil && target == m.Target, nil
	}
	if !fi.Mode().IsRegular() || fi.Mode().Perm() != fs.FileMode(m.Mode) {
		return false, nil
	}
	rec, err := s.records.Path(m.Path)
	if err != nil {
		return false, err
	}
	if rec.Vouches(fi) {
		return rec.Digest == m.Digest, nil
	}
	have, err := hashFile(ctx, s.path(m.Path))
	return have == m.Digest, err
}

func (st *archiveState) diff(*session) ([]spec.Change, error) {
	w := st.want
	c := spec.Change{Action: spec.Update, Detail: w.Blob.Name + " into " + w.Dest, NeedsBlobs: []string{w.Blob.Digest}}
	switch {
	case st.rec == nil:
		c.Action = spec.Create
	case st.rec.Digest != w.Blob.Digest:
	case st.rec.Dest != w.Dest || st.rec.Strip != w.Strip || !slices.Equal(st.rec.Only, w.Only):
		c.Detail += ", other members"
	case len(st.changed) > 0:
		c.Detail += fmt.Sprintf(", %d members changed or missing: %s", len(st.changed), strings.Join(st.changed[:min(3, len(st.changed))], " "))
	default:
		return nil, nil
	}
	return []spec.Change{c}, nil
}

func (st *archiveState) apply(ctx context.Context, s *session) error {
	f, err := openBlob(s, &st.want.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	// The index comes first: nothing is written from an archive that is bad
	// further back, or that would overwrite what is not ours.
	var members []record.Member
	err = st.walk(ctx, f, func(h *tar.Header, dest string, r io.Reader) error {
		m, err := st.check(s, h, dest, r)
		if err == nil && m != nil {
			members = append(members, *m)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := st.missing(members); err != nil {
		return err
	}
	for _, p := range st.foreign {
		if err := keepOriginal(s.path(p)); err != nil {
			return err
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	i := 0
	err = st.walk(ctx, f, func(h *tar.Header, dest string, r io.Reader) error {
		if h.Typeflag == tar.TypeDir {
			return nil
		}
		m := members[i]
		i++
		return unpack(ctx, s, m, r)
	})
	if err != nil {
		return err
	}
	return s.records.SaveArchive(record.Archive{
		ID: st.id, Digest: st.want.Blob.Digest, Dest: st.want.Dest,
		Strip: st.want.Strip, Only: st.want.Only, Members: members,
	})
}

// walk calls each for the chosen members, with their path on the host. It
// refuses paths that leave Dest, also by way of a link in the archive itself.
func (st *archiveState) walk(ctx context.Context, f io.Reader, each func(h *tar.Header, dest string, r io.Reader) error) error {
	tr, closeFn, err := openTar(&ctxReader{ctx, f})
	if err != nil {
		return err
	}
	defer closeFn()
	links := map[string]bool{}
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", st.want.Blob.Name, err)
		}
		name := path.Clean(strings.TrimPrefix(h.Name, "./"))
		if !filepath.IsLocal(name) || strings.Contains(h.Name, "\\") {
			return diag.New(diag.Invalid, "unpack "+st.want.Blob.Name, "member %q leaves the archive", h.Name)
		}
		parts := strings.Split(name, "/")
		if name == "." || len(parts) <= st.want.Strip {
			continue
		}
		name = path.Join(parts[st.want.Strip:]...)
		if len(st.want.Only) > 0 && !slices.Contains(st.want.Only, name) {
			continue
		}
		for p := path.Dir(name); p != "."; p = path.Dir(p) {
			if links[p] {
				return diag.New(diag.Invalid, "unpack "+st.want.Blob.Name, "member %q lies behind the link %q", h.Name, p)
			}
		}
		if h.Typeflag == tar.TypeSymlink {
			links[name] = true
			if path.IsAbs(h.Linkname) || !filepath.IsLocal(path.Join(path.Dir(name), h.Linkname)) {
				return diag.New(diag.Invalid, "unpack "+st.want.Blob.Name, "link %q leaves the archive", h.Name)
			}
		}
		if err := each(h, path.Join(st.want.Dest, name), tr); err != nil {
			return err
		}
	}
}

// check looks at one member before anything is written; nil for directories,
// which are made as parents.
func (st *archiveState) check(s *session, h *tar.Header, dest string, r io.Reader) (*record.Member, error) {
	m := &record.Member{Path: dest}
	switch h.Typeflag {
	case tar.TypeDir:
		return nil, nil
	case tar.TypeSymlink:
		m.Target = h.Linkname
	case tar.TypeReg:
		mode := fs.FileMode(h.Mode).Perm()
		if h.Mode&0o7000 != 0 {
			return nil, diag.New(diag.Invalid, "unpack "+st.want.Blob.Name, "member %q is set-uid, set-gid or sticky", h.Name)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", st.want.Blob.Name, err)
		}
		m.Mode, m.Digest = uint32(mode), "sha256:"+hex.EncodeToString(sum.Sum(nil))
	default:
		return nil, diag.New(diag.Unsupported, "unpack "+st.want.Blob.Name, "member %q is of type %q", h.Name, h.Typeflag)
	}
	return m, st.notForeign(s, *m)
}

// notForeign refuses a member in whose place somebody else's file stands, unless
// it is to be taken over.
func (st *archiveState) notForeign(s *session, m record.Member) error {
	fi, err := os.Lstat(s.path(m.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rec, err := s.records.Path(m.Path)
	if err != nil {
		return err
	}
	isLink := fi.Mode()&fs.ModeSymlink != 0
	if !fi.Mode().IsRegular() && !isLink {
		return notAFile(m.Path, fi)
	}
	if rec != nil {
		return nil
	}
	if isLink {
		if target, err := os.Readlink(s.path(m.Path)); err == nil && target == m.Target {
			return nil
		}
	} else if have, err := hashFile(context.Background(), s.path(m.Path)); err == nil && have == m.Digest {
		return nil
	}
	if st.want.Takeover {
		st.foreign = append(st.foreign, m.Path)
		return nil
	}
	return foreign(m.Path, "a file that kforge did not write")
}

// missing checks that everything asked for by name is in the archive.
func (st *archiveState) missing(members []record.Member) error {
	for _, name := range st.want.Only {
		p := path.Join(st.want.Dest, name)
		if !slices.ContainsFunc(members, func(m record.Member) bool { return m.Path == p }) {
			return diag.New(diag.NotFound, "unpack "+st.want.Blob.Name, "no member %q after stripping %d path elements", name, st.want.Strip)
		}
	}
	if len(members) == 0 {
		return diag.New(diag.NotFound, "unpack "+st.want.Blob.Name, "the archive is empty after stripping %d path elements", st.want.Strip)
	}
	return nil
}

func unpack(ctx context.Context, s *session, m record.Member, r io.Reader) error {
	if err := s.mkdirs(m.Path); err != nil {
		return err
	}
	own := record.Path{Path: m.Path, Digest: m.Digest, Target: m.Target}
	if m.Target != "" {
		if err := s.records.Intend(own); err != nil {
			return err
		}
		return linkAtomic(s.Later, s.path(m.Path), m.Target)
	}
	err := writeAtomic(ctx, s.Later, s.path(m.Path), fs.FileMode(m.Mode), 0, 0, r, m.Digest, func() error { return s.records.Intend(own) })
	if err != nil {
		return err
	}
	return stamp(s, own)
}

// openTar reads a tar, plain or gzipped, told by its first bytes.
func openTar(r io.Reader) (*tar.Reader, func(), error) {
	br := bufio.NewReaderSize(r, 256<<10)
	magic, err := br.Peek(2)
	if err != nil {
		return nil, nil, fmt.Errorf("reading archive: %w", err)
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return tar.NewReader(br), func() {}, nil
	}
	zr, err := gzip.NewReader(br)
	if err != nil {
		return nil, nil, fmt.Errorf("reading archive: %w", err)
	}
	return tar.NewReader(zr), func() { zr.Close() }, nil
}

package resource

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// origSuffix is added to the name of what we replace, once.
const origSuffix = ".kforge-orig"

type fileKind struct{ want *spec.File }

// fileState is what stands at the path of a file.
type fileState struct {
	want   *spec.File
	digest string // of the content wanted

	there     bool
	mode      fs.FileMode
	uid, gid  int
	have      string // digest of what is there
	text      []byte // what is there, when it is short
	ours      bool   // by header or record
	recorded  bool
	untouched bool // the record vouches for what is there
}

func (k fileKind) observe(ctx context.Context, s *session) (observed, error) {
	if err := checkMode(k.want.Mode, fs.ModePerm); err != nil {
		return nil, err
	}
	st := &fileState{want: k.want}
	if k.want.Blob != nil {
		if err := checkDigest(k.want.Blob.Digest); err != nil {
			return nil, err
		}
		st.digest = k.want.Blob.Digest
	} else {
		st.digest = digestOf(k.want.Content)
	}
	rec, err := s.records.Path(k.want.Path)
	if err != nil {
		return nil, err
	}
	st.recorded = rec != nil
	fi, err := os.Lstat(s.path(k.want.Path))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return st, nil
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, notAFile(k.want.Path, fi)
	}
	st.there, st.mode = true, fi.Mode().Perm()
	st.uid, st.gid = owner(fi)
	st.untouched = rec.Vouches(fi)
	if st.untouched {
		st.have = rec.Digest
	} else if st.have, err = hashFile(ctx, s.path(k.want.Path)); err != nil {
		return nil, err
	}
	if fi.Size() <= maxDiffBytes {
		if st.text, err = os.ReadFile(s.path(k.want.Path)); err != nil {
			return nil, err
		}
	}
	// An empty file holds nothing of anybody's: a power cut may have left it.
	st.ours = st.recorded || hasHeader(st.text) || fi.Size() == 0
	return st, nil
}

func (st *fileState) diff(s *session) ([]spec.Change, error) {
	w := st.want
	if w.Absent {
		// What is not ours is left alone, and then nothing is to be done.
		if st.there && st.ours {
			return []spec.Change{{Action: spec.Delete, Detail: w.Path}}, nil
		}
		return nil, nil
	}
	c := spec.Change{Action: spec.Update}
	if w.Blob != nil && st.have != st.digest {
		c.NeedsBlobs = []string{w.Blob.Digest}
	}
	if !st.there {
		c.Action, c.Detail = spec.Create, fmt.Sprintf("mode %04o", w.Mode)
		c.Diff = st.textDiff()
		return []spec.Change{c}, nil
	}
	var what []string
	if st.have != st.digest {
		if !st.ours && !w.Takeover {
			return nil, foreign(w.Path, "a file that kforge did not write")
		}
		switch {
		case w.Secret:
			what = append(what, "content (sensitive)")
		case w.Blob != nil:
			what = append(what, "content: "+w.Blob.Name)
		default:
			what = append(what, "content")
		}
		if !st.ours {
			what = append(what, "the present file is kept as "+w.Path+origSuffix)
		}
		c.Diff = st.textDiff()
	}
	if st.mode != w.Mode {
		what = append(what, fmt.Sprintf("mode %04o to %04o", st.mode, w.Mode))
	}
	if wrongOwner(st.uid, st.gid, w.UID, w.GID) {
		what = append(what, fmt.Sprintf("owner %d:%d to %d:%d", st.uid, st.gid, w.UID, w.GID))
	}
	if len(what) == 0 {
		return nil, nil
	}
	c.Detail = strings.Join(what, ", ")
	return []spec.Change{c}, nil
}

func (st *fileState) textDiff() string {
	if st.want.Secret || st.want.Blob != nil || st.there && st.text == nil && st.have != digestOf(nil) {
		return ""
	}
	return unified(st.want.Path, st.text, st.want.Content)
}

func (st *fileState) apply(ctx context.Context, s *session) error {
	w := st.want
	path := s.path(w.Path)
	if w.Absent {
		if err := os.Remove(path); err != nil {
			return err
		}
		return s.records.Disown(w.Path)
	}
	if st.there && st.have == st.digest {
		if err := setOwner(path, w.UID, w.GID, w.Mode); err != nil {
			return err
		}
		return st.adopt(s)
	}
	if st.there && !st.ours {
		if err := keepOriginal(path); err != nil {
			return err
		}
	}
	src, err := st.open(s)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := s.mkdirs(w.Path); err != nil {
		return err
	}
	own := record.Path{Path: w.Path, Digest: st.digest}
	err = writeAtomic(ctx, s.Later, path, w.Mode, w.UID, w.GID, src, st.digest, func() error { return s.records.Intend(own) })
	if err != nil {
		return err
	}
	return stamp(s, own)
}

// adopt completes our record of a file that is as it should be: one whose
// record a crash lost, or that was touched since.
func (st *fileState) adopt(s *session) error {
	if st.want.Absent || st.untouched || s.planning {
		return nil
	}
	return stamp(s, record.Path{Path: st.want.Path, Digest: st.digest})
}

func stamp(s *session, own record.Path) error {
	fi, err := os.Lstat(s.path(own.Path))
	if err != nil {
		return err
	}
	return s.records.Stamp(own, fi)
}

func (st *fileState) open(s *session) (io.ReadCloser, error) {
	if st.want.Blob == nil {
		return io.NopCloser(bytes.NewReader(st.want.Content)), nil
	}
	return openBlob(s, st.want.Blob)
}

func openBlob(s *session, b *spec.Blob) (*os.File, error) {
	if s.Blobs == nil {
		return nil, diag.New(diag.Internal, "open "+b.Name, "no blob store")
	}
	f, err := s.Blobs.Open(b.Digest)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", b.Name, err)
	}
	return f, nil
}

func hasHeader(text []byte) bool {
	// Scripts have their interpreter first, some formats a line of their own.
	for line := range bytes.Lines(text[:min(len(text), 4096)]) {
		if strings.TrimSpace(string(line)) == spec.Header {
			return true
		}
	}
	return false
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func hashFile(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, &ctxReader{ctx, f}); err != nil {
		return "", fmt.Errorf("hashing %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// ctxReader ends with the context, so that a large copy can be cancelled.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

func foreign(path, what string) *diag.Error {
	return diag.New(diag.Foreign, "", "%s is %s", path, what).
		WithHint("move it away if nobody needs it, then apply again; kforge does not overwrite what it does not own")
}

func notAFile(path string, fi fs.FileInfo) *diag.Error {
	what := "no regular file"
	switch {
	case fi.IsDir():
		what = "a directory"
	case fi.Mode()&fs.ModeSymlink != 0:
		what = "a symbolic link"
	}
	return foreign(path, what)
}

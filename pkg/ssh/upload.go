package ssh

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"path"
	"time"

	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// tidyPatience bounds the removal of a half file after ctx ended.
const tidyPatience = 5 * time.Second

// Upload puts size bytes of r at name on the host with the given mode, whole or
// not at all: it writes a temporary file in the same directory, checks its size
// and renames it. Missing parent directories are made with mode 0700. sum is
// the hex sha256 that the content must have, or empty: what was read here is
// checked against it, and what the host stored where that costs no round trip
// (an agent proves its own digest at its start). It goes by SFTP or, where that
// is off, by a shell command. Errors are of kind NoSpace, Permission, Digest,
// Transport, Command and those of the connection.
func (c *Conn) Upload(ctx context.Context, name string, mode fs.FileMode, r io.ReaderAt, size int64, sum string) error {
	u := &upload{conn: c, op: "upload " + name, name: path.Clean(name), mode: mode.Perm(), from: r, size: size, sum: sum}
	u.temp = path.Join(path.Dir(u.name), "."+path.Base(u.name)+".tmp-"+nonce())
	done := make(chan error, 1)
	if !c.spawn(func() { done <- u.run(ctx) }) {
		return c.gone(errClosed)
	}
	select {
	case err := <-done:
		return u.explain(ctx, err)
	case <-ctx.Done():
	}
	// The reader stops with ctx, so what is under way soon ends by itself and
	// removes its half file; a host that hangs is not waited for.
	patience := time.NewTimer(tidyPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return u.explain(ctx, err)
	case <-patience.C:
		return ended(ctx, u.op, c.hop.name)
	}
}

type upload struct {
	conn *Conn
	op   string
	name string
	temp string
	mode fs.FileMode
	from io.ReaderAt
	size int64
	sum  string
}

func nonce() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (u *upload) run(ctx context.Context) error {
	client, err := u.conn.sftp(ctx)
	if err == nil {
		defer client.Close()
		return u.bySFTP(ctx, client)
	}
	if ctx.Err() != nil || !errors.Is(err, errNoSFTP) {
		return err
	}
	return u.byExec(ctx)
}

// content is a fresh reader of the whole content, which stops with ctx and
// hashes what it gives. Size makes the SFTP library write concurrently.
type content struct {
	ctx  context.Context
	r    *io.SectionReader
	hash hash.Hash
}

func (u *upload) content(ctx context.Context) *content {
	return &content{ctx: ctx, r: io.NewSectionReader(u.from, 0, u.size), hash: sha256.New()}
}

// Size is the number of bytes to come.
func (c *content) Size() int64 { return c.r.Size() }

// Read reads, hashes, and fails when the context ended.
func (c *content) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.hash.Write(p[:n])
	return n, err
}

// verify compares what was read with the wanted digest.
func (u *upload) verify(c *content) error {
	if got := hex.EncodeToString(c.hash.Sum(nil)); u.sum != "" && got != u.sum {
		return diag.New(diag.Digest, "", "the content has sha256 %s instead of %s", got, u.sum)
	}
	return nil
}

// explain gives err its kind.
func (u *upload) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e := ended(ctx, u.op, u.conn.hop.name); e != nil {
		return e
	}
	kind := diag.KindOf(err)
	var open *cssh.OpenChannelError
	switch {
	case kind == diag.NoSpace:
		return diag.Wrap(kind, u.op, err).On(u.conn.hop.name).WithHint("free some space on the file system of %s", path.Dir(u.name))
	case kind != diag.Unknown:
		return diag.Wrap(kind, u.op, err).On(u.conn.hop.name)
	case errors.Is(err, fs.ErrPermission):
		return diag.Wrap(diag.Permission, u.op, err).On(u.conn.hop.name).
			WithHint("%s may not write to %s", u.conn.hop.user, path.Dir(u.name))
	case errors.Is(err, fs.ErrNotExist):
		return diag.Wrap(diag.NotFound, u.op, err).On(u.conn.hop.name)
	case errors.As(err, &open):
		return diag.Wrap(diag.Transport, u.op, err).On(u.conn.hop.name).
			WithHint("sshd allows no further session on this connection: raise MaxSessions in its sshd_config")
	}
	if gone := u.conn.gone(nil); gone != nil {
		return diag.Wrap(diag.KindOf(gone), u.op, gone).On(u.conn.hop.name)
	}
	return diag.Wrap(diag.Command, u.op, err).On(u.conn.hop.name)
}

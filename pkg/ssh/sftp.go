package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
	cssh "golang.org/x/crypto/ssh"

	"kforge.dev/kforge/pkg/diag"
)

// errNoSFTP says that the host has no working SFTP server.
var errNoSFTP = errors.New("the SFTP subsystem is off")

// closePatience bounds the wait for an SFTP server to end.
const closePatience = 5 * time.Second

// sftp opens an SFTP session. errNoSFTP covers a missing server program and a
// login shell that prints, too: both show only once the subsystem was started.
func (c *Conn) sftp(ctx context.Context) (*sftpSession, error) {
	return call(ctx, c, "open sftp", func() (*sftpSession, error) {
		ch, reqs, err := opened(c, func() (cssh.Channel, <-chan *cssh.Request, error) { return c.client.OpenChannel("session", nil) })
		if err != nil {
			return nil, err
		}
		s := &sftpSession{ch: ch, ended: make(chan struct{})}
		if !c.spawn(func() {
			defer close(s.ended)
			cssh.DiscardRequests(reqs)
		}) {
			ch.Close()
			return nil, c.gone(errClosed)
		}
		c.spawn(func() { _, _ = io.Copy(io.Discard, ch.Stderr()) })
		if s.Client, err = s.start(); err != nil {
			ch.Close()
			return nil, c.gone(fmt.Errorf("%w: %w", errNoSFTP, err))
		}
		return s, nil
	}, func(s *sftpSession) { s.Close() })
}

// sftpSession is an SFTP client and the channel that it owns.
type sftpSession struct {
	*sftp.Client
	ch    cssh.Channel
	ended chan struct{} // closed when sshd closed the channel
}

func (s *sftpSession) start() (*sftp.Client, error) {
	ok, err := s.ch.SendRequest("subsystem", true, cssh.Marshal(struct{ Name string }{"sftp"}))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("sshd refused it")
	}
	// Without concurrent writes each 32 KiB packet costs a round trip: 4.5 s
	// for 2.5 MB at 50 ms.
	return sftp.NewClientPipe(s.ch, input{s.ch}, sftp.UseConcurrentWrites(true))
}

// input is the sending side of a channel: closing it tells the server program
// to end, and lets it.
type input struct{ cssh.Channel }

func (i input) Close() error { return i.CloseWrite() }

// Close waits for the server program to end: closing the channel before would
// leave a session that sshd counts for a while against MaxSessions.
func (s *sftpSession) Close() {
	stop := time.AfterFunc(closePatience, func() { s.ch.Close() })
	defer stop.Stop()
	s.Client.Close()
	<-s.ended
	s.ch.Close()
}

func (u *upload) bySFTP(ctx context.Context, client *sftpSession) (err error) {
	if err := u.makeParents(client, path.Dir(u.name)); err != nil {
		return err
	}
	f, err := client.OpenFile(u.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return u.full(client, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			client.Remove(u.temp) // a failed concurrent write leaves holes
		}
	}()
	if err := f.Chmod(u.mode); err != nil { // before the content, which may be secret
		return err
	}
	content := u.content(ctx)
	if _, err := f.ReadFrom(content); err != nil {
		return u.full(client, err)
	}
	if err := u.verify(content); err != nil {
		return err
	}
	if _, ok := client.HasExtension("fsync@openssh.com"); ok {
		if err := f.Sync(); err != nil {
			return u.full(client, err)
		}
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != u.size {
		return diag.New(diag.Digest, "", "the host stored %d bytes of %d", fi.Size(), u.size)
	}
	if err := f.Close(); err != nil {
		return u.full(client, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, ok := client.HasExtension("posix-rename@openssh.com"); ok {
		return client.PosixRename(u.temp, u.name)
	}
	// The plain rename refuses to replace a file.
	if err := client.Remove(u.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return client.Rename(u.temp, u.name)
}

// makeParents makes dir and what is missing above it.
func (u *upload) makeParents(client *sftpSession, dir string) error {
	fi, err := client.Stat(dir)
	switch {
	case err == nil && fi.IsDir():
		return nil
	case err == nil:
		return diag.New(diag.Foreign, "", "%s is not a directory", dir)
	case !errors.Is(err, fs.ErrNotExist) || dir == path.Dir(dir):
		return err
	}
	if err := u.makeParents(client, path.Dir(dir)); err != nil {
		return err
	}
	if err := client.Mkdir(dir); err != nil {
		if fi, serr := client.Stat(dir); serr == nil && fi.IsDir() {
			return nil // somebody else was faster
		}
		return u.full(client, fmt.Errorf("making %s: %w", dir, err))
	}
	return client.Chmod(dir, 0o700)
}

// full tells a full disk from another failure. OpenSSH's server sends a bare
// "Failure" for it, so the file system is asked for its free space.
func (u *upload) full(client *sftpSession, err error) error {
	var status *sftp.StatusError
	if !errors.As(err, &status) || status.FxCode() != sftp.ErrSSHFxFailure {
		return err
	}
	if strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "quota exceeded") {
		return diag.Wrap(diag.NoSpace, "", err)
	}
	if _, ok := client.HasExtension("statvfs@openssh.com"); !ok {
		return err
	}
	dir := path.Dir(u.name)
	vfs, serr := client.StatVFS(dir)
	if serr != nil {
		return err
	}
	if free := vfs.Bavail * vfs.Frsize; free < uint64(u.size) {
		return diag.New(diag.NoSpace, "", "no space left in %s: %d KiB free, %d KiB to write", dir, free>>10, u.size>>10)
	}
	if vfs.Files > 0 && vfs.Favail == 0 {
		return diag.New(diag.NoSpace, "", "no inode left in %s", dir)
	}
	return err
}

package sshtest

import (
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"github.com/pkg/sftp"
	cssh "golang.org/x/crypto/ssh"
)

// serveSFTP serves the directory root as "/" until the channel ends.
func serveSFTP(ch cssh.Channel, root string, diskBytes int64) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return
	}
	defer dir.Close()
	h := &files{root: dir, limited: diskBytes > 0}
	h.left.Store(diskBytes)
	server := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
	_ = server.Serve()
	server.Close()
}

// files answers SFTP requests on a directory that nothing leads out of.
type files struct {
	root    *os.Root
	limited bool
	left    atomic.Int64
}

// inside turns an SFTP path into one below the root.
func inside(p string) string {
	if p = strings.Trim(p, "/"); p == "" {
		return "."
	}
	return p
}

func (h *files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return h.root.Open(inside(r.Filepath))
}

func (h *files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	flags, want := os.O_WRONLY, r.Pflags()
	for _, f := range []struct {
		on  bool
		bit int
	}{{want.Creat, os.O_CREATE}, {want.Trunc, os.O_TRUNC}, {want.Excl, os.O_EXCL}} {
		if f.on {
			flags |= f.bit
		}
	}
	f, err := h.root.OpenFile(inside(r.Filepath), flags, 0o644)
	if err != nil {
		return nil, err
	}
	return &quota{File: f, h: h}, nil
}

// quota is a file on a disk that may fill up. Like OpenSSH's server it says
// nothing but "Failure" then.
type quota struct {
	*os.File
	h *files
}

func (q *quota) WriteAt(p []byte, off int64) (int, error) {
	if q.h.limited && q.h.left.Add(-int64(len(p))) < 0 {
		return 0, sftp.ErrSSHFxFailure
	}
	return q.File.WriteAt(p, off)
}

func (h *files) Filecmd(r *sftp.Request) error {
	name, target := inside(r.Filepath), inside(r.Target)
	switch r.Method {
	case "Setstat":
		if r.AttrFlags().Permissions {
			return h.root.Chmod(name, r.Attributes().FileMode().Perm())
		}
		return nil
	case "Rename":
		if _, err := h.root.Lstat(target); err == nil {
			return fs.ErrExist
		}
		return h.root.Rename(name, target)
	case "Mkdir":
		return h.root.Mkdir(name, 0o755)
	case "Remove", "Rmdir":
		return h.root.Remove(name)
	}
	return sftp.ErrSSHFxOpUnsupported
}

func (h *files) PosixRename(r *sftp.Request) error {
	return h.root.Rename(inside(r.Filepath), inside(r.Target))
}

func (h *files) StatVFS(*sftp.Request) (*sftp.StatVFS, error) {
	free := uint64(1 << 40)
	if h.limited {
		free = uint64(max(0, h.left.Load()))
	}
	return &sftp.StatVFS{Bsize: 1, Frsize: 1, Blocks: 1 << 41, Bfree: free, Bavail: free, Files: 1 << 20, Ffree: 1 << 19, Favail: 1 << 19}, nil
}

func (h *files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	switch r.Method {
	case "List":
		f, err := h.root.Open(inside(r.Filepath))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		list, err := f.Readdir(-1)
		return listing(list), err
	case "Stat":
		fi, err := h.root.Stat(inside(r.Filepath))
		if err != nil {
			return nil, err
		}
		return listing{fi}, nil
	}
	return nil, sftp.ErrSSHFxOpUnsupported
}

func (h *files) Lstat(r *sftp.Request) (sftp.ListerAt, error) {
	fi, err := h.root.Lstat(inside(r.Filepath))
	if err != nil {
		return nil, err
	}
	return listing{fi}, nil
}

// listing is a directory listing, given out in parts.
type listing []os.FileInfo

func (l listing) ListAt(to []os.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(to, l[off:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

var (
	_ sftp.PosixRenameFileCmder = (*files)(nil)
	_ sftp.StatVFSFileCmder     = (*files)(nil)
	_ sftp.LstatFileLister      = (*files)(nil)
)

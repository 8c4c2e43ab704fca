package inventory

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"kforge.dev/kforge/pkg/diag"
)

// File applies the edit to an inventory file, whole or not at all: a file beside
// it takes its place, with its mode and owner. Two edits at once come one after
// the other, and what somebody saved meanwhile is edited, not overwritten.
func (e Edit) File(path string) error {
	const op = "edit inventory"
	real, err := filepath.EvalSymlinks(path) // the link stays a link
	if err != nil {
		return diag.Wrap(diag.Invalid, op, err)
	}
	f, err := lockFile(real)
	if err != nil {
		return diag.Wrap(diag.Permission, op, err).WithHint("%s", e.byHand(nil))
	}
	defer f.Close() // the lock ends with it
	data, err := os.ReadFile(real)
	if err != nil {
		return diag.Wrap(diag.Invalid, op, err)
	}
	out, _, err := e.Text(path, filepath.Dir(path), data)
	if err != nil {
		return err
	}
	if err := replace(f, real, data, out); err != nil {
		return diag.Wrap(diag.Permission, op, err).WithHint("make the folder of %s writable; or %s", path, e.byHand(nil))
	}
	return nil
}

// lockFile opens a file and waits until no other edit has it. The one that was
// waited for may have put a new file in its place: then that one is locked.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil && !errors.Is(err, syscall.ENOTSUP) {
			f.Close()
			return nil, err
		}
		mine, err := f.Stat()
		if err == nil {
			var there os.FileInfo
			if there, err = os.Stat(path); err == nil && os.SameFile(mine, there) {
				return f, nil
			}
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// replace puts out in the place of a file that held data when it was read.
func replace(f *os.File, path string, data, out []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	write := func() error {
		if _, err := tmp.Write(out); err != nil {
			return err
		}
		if err := tmp.Chmod(info.Mode().Perm()); err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && (int(s.Uid) != os.Geteuid() || int(s.Gid) != os.Getegid()) {
			_ = tmp.Chown(int(s.Uid), int(s.Gid)) // only root may: others become its owner
		}
		return tmp.Sync()
	}
	err = write()
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		return errors.Join(errors.New("the file was changed at this moment"), err)
	}
	return os.Rename(tmp.Name(), path)
}

package agent

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/wire"
)

// binDir is where root's agents live.
const binDir = record.StateDir + "/bin"

// keepAgents is how many agents stay beside the running one.
const keepAgents = 3

// settle makes sure that root does not run a program that somebody else can
// replace: it copies itself to a directory of root's and goes on from there. It
// returns when the running program is where it should be, or when it cannot
// move (a noexec /var), which it says on log.
func settle(digest string, mode wire.Mode, log io.Writer) error {
	exe, err := os.Readlink(selfExe)
	if err != nil {
		return fmt.Errorf("finding own program: %w", err)
	}
	if mode == wire.ReadWrite {
		// The time of a file here is when it was last used. Its owner may be
		// somebody else, and then the times stay as they are.
		now := time.Now()
		_ = os.Chtimes(exe, now, now)
		if err := sweepAgents(filepath.Dir(exe), filepath.Base(exe)); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 || rootOwned(exe) {
		return nil
	}
	dst := filepath.Join(binDir, wire.AgentPrefix+strings.TrimPrefix(digest, "sha256:"))
	if err := copySelf(dst); err != nil {
		return fmt.Errorf("copying own program: %w", err)
	}
	err = syscall.Exec(dst, append([]string{dst}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(log, "kforge-agent: running from %s, which is not root's alone: %s: %v\n", exe, dst, err)
	return nil
}

// rootOwned reports whether only root can change the file or any directory on
// the way to it.
func rootOwned(path string) bool {
	for p := path; ; p = filepath.Dir(p) {
		fi, err := os.Lstat(p)
		if err != nil || fi.Mode()&fs.ModeSymlink != 0 {
			return false
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		sticky := fi.IsDir() && fi.Mode()&fs.ModeSticky != 0
		if !ok || st.Uid != 0 || fi.Mode()&0o022 != 0 && !sticky {
			return false
		}
		if p == "/" {
			return true
		}
	}
}

// copySelf puts the running program at dst, atomically.
func copySelf(dst string) error {
	dir := filepath.Dir(dst)
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(d, 0o700); err != nil {
			return err
		}
	}
	if real, err := filepath.EvalSymlinks(dir); err != nil || !rootOwned(real) {
		return fmt.Errorf("%s or a directory above it can be changed by others than root", dir)
	}
	src, err := os.Open(selfExe)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp := dst + ".tmp-" + rand.Text()[:8]
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, src)
	if err == nil {
		err = f.Chmod(0o755)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

// sweepAgents removes all but the newest agents, and keeps the running one. Only
// files of our own naming are touched.
func sweepAgents(dir, running string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweeping old agents: %w", err)
	}
	type agent struct {
		name string
		used time.Time
	}
	var old []agent
	for _, e := range entries {
		hex, ok := strings.CutPrefix(e.Name(), wire.AgentPrefix)
		if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" || e.Name() == running || !e.Type().IsRegular() {
			continue
		}
		if fi, err := e.Info(); err == nil {
			old = append(old, agent{e.Name(), fi.ModTime()})
		}
	}
	slices.SortFunc(old, func(a, b agent) int { return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.name, b.name)) })
	for _, a := range old[min(keepAgents, len(old)):] {
		err := os.Remove(filepath.Join(dir, a.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("sweeping old agents: %w", err)
		}
	}
	return nil
}

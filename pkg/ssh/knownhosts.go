package ssh

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	cssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"

	"kforge.dev/kforge/pkg/diag"
)

// lockPatience bounds the wait for another process that writes known_hosts.
const lockPatience = 10 * time.Second

// knownHosts is one known_hosts file, read again whenever it changed.
type knownHosts struct {
	file   string
	strict bool
	warn   func(string)

	mu    sync.Mutex // held for file work only, never while dialling
	sign  signature
	db    cssh.HostKeyCallback
	ca    map[int]bool // lines that are @cert-authority
	lines int          // of the file
	added []knownhosts.KnownKey
	names []string // known_hosts form of the host of added[i]
}

// signature tells whether a file changed.
type signature struct {
	size int64
	mod  time.Time
	ino  os.FileInfo
}

func (s signature) same(fi os.FileInfo) bool {
	return s.ino != nil && fi != nil && os.SameFile(s.ino, fi) && s.size == fi.Size() && s.mod.Equal(fi.ModTime())
}

// nobody is a key no host has: asking for it lists what a host should have.
var nobody, _ = cssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))

// somewhere satisfies the library, which splits the remote address even when
// it goes by the name.
var somewhere = &net.TCPAddr{IP: net.IPv4zero}

// known gives the keys recorded for addr (host:port), and whether an authority
// speaks for it.
func (k *knownHosts) known(addr string) (keys []knownhosts.KnownKey, authority bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, false, err
	}
	var ke *knownhosts.KeyError
	if err := k.lookup(addr, nobody); errors.As(err, &ke) {
		for _, w := range ke.Want {
			if w.Filename == k.file && k.ca[w.Line] {
				authority = true
				continue
			}
			keys = append(keys, w)
		}
	}
	return keys, authority, nil
}

// check accepts key for addr (host:port), records it when it is new and that
// is allowed, or gives a host-key error.
func (k *knownHosts) check(addr string, key cssh.PublicKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return err
	}
	err := k.lookup(addr, key)
	if unknown(err) && !k.strict {
		return k.record(addr, key)
	}
	return k.explain(addr, key, err)
}

// lookup asks the file, then what this process added to it.
func (k *knownHosts) lookup(addr string, key cssh.PublicKey) error {
	err := error(&knownhosts.KeyError{})
	if k.db != nil {
		err = k.db(addr, somewhere, key)
	}
	if !unknown(err) {
		return err
	}
	want := &knownhosts.KeyError{}
	name := knownhosts.Normalize(addr)
	for i, a := range k.added {
		if k.names[i] != name {
			continue
		}
		if bytes.Equal(a.Key.Marshal(), key.Marshal()) {
			return nil
		}
		want.Want = append(want.Want, a)
	}
	return want
}

func unknown(err error) bool {
	var ke *knownhosts.KeyError
	return errors.As(err, &ke) && len(ke.Want) == 0
}

// explain turns the library's verdict into an error that a person can act on.
func (k *knownHosts) explain(addr string, key cssh.PublicKey, err error) error {
	if err == nil {
		return nil
	}
	name := knownhosts.Normalize(addr)
	seen := key.Type() + " " + cssh.FingerprintSHA256(key)
	var ke *knownhosts.KeyError
	var re *knownhosts.RevokedError
	switch {
	case errors.As(err, &re):
		return diag.New(diag.HostKey, "check host key", "%s shows %s, which is revoked at %s:%d", addr, seen, k.file, re.Revoked.Line).
			WithHint("the host needs a new host key")
	case errors.As(err, &ke) && len(ke.Want) == 0:
		return diag.New(diag.HostKey, "check host key", "%s shows %s, and %s does not know this host", addr, seen, k.file).
			WithHint("compare it on the host with `ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub`, then connect once with ssh, or set hostKeys: accept-new", family(key.Type()))
	case errors.As(err, &ke):
		want := ke.Want[0]
		for _, w := range ke.Want {
			if w.Key.Type() == key.Type() {
				want = w
				break
			}
		}
		if k.ca[want.Line] {
			return diag.New(diag.HostKey, "check host key", "%s shows %s without a certificate of the authority at %s:%d", addr, seen, k.file, want.Line).
				WithHint("sign the host's key with that authority, or pin it with hostKey")
		}
		return diag.New(diag.HostKey, "check host key", "the key of %s changed: it shows %s, but %s:%d says %s %s",
			addr, seen, k.file, want.Line, want.Key.Type(), cssh.FingerprintSHA256(want.Key)).
			WithHint("somebody may be in the middle; if the machine was reinstalled: ssh-keygen -R %s -f %s", Quote(name), Quote(k.file))
	}
	return diag.Wrap(diag.HostKey, "check host key", err).WithHint("look at the lines of %s in %s", name, k.file)
}

// family is the word of a key type in the names of sshd's key files.
func family(keyType string) string {
	switch {
	case strings.Contains(keyType, "ed25519"):
		return "ed25519"
	case strings.Contains(keyType, "ecdsa"):
		return "ecdsa"
	default:
		return "rsa"
	}
}

// refresh reads the file when it is not what it was. A missing file is empty.
func (k *knownHosts) refresh() error {
	fi, err := os.Stat(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		k.sign, k.db, k.ca, k.lines, k.added, k.names = signature{}, nil, nil, 0, nil, nil
		return nil
	}
	if err != nil {
		return diag.Wrap(diag.Invalid, "read known_hosts", err)
	}
	if k.sign.same(fi) {
		return nil
	}
	return k.load(fi)
}

// load parses the file. One bad line makes the library refuse all of it, so
// bad lines are blanked, which keeps the line numbers, and told; a revocation
// that cannot be read is no small thing and fails.
func (k *knownHosts) load(fi os.FileInfo) error {
	text, err := os.ReadFile(k.file)
	if err != nil {
		return diag.Wrap(diag.Invalid, "read known_hosts", err)
	}
	ca := map[int]bool{}
	lines := bytes.Split(text, []byte("\n"))
	bad := false
	for i, line := range lines {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		marker, _, _, _, _, err := cssh.ParseKnownHosts(append(line[:len(line):len(line)], '\n'))
		if err != nil && bytes.HasPrefix(line, []byte("@revoked")) {
			return diag.Wrap(diag.Invalid, "read known_hosts", err).At(diag.Position{File: k.file, Line: i + 1}).
				WithHint("a revoked key that cannot be read must not pass for a good one: repair or remove the line")
		}
		if err != nil {
			k.warn(fmt.Sprintf("%s:%d: this line is not understood and left out: %v", k.file, i+1, err))
			lines[i], bad = nil, true
			continue
		}
		ca[i+1] = marker == "cert-authority"
	}
	from := k.file
	if bad {
		if from, err = temporary(bytes.Join(lines, []byte("\n"))); err != nil {
			return diag.Wrap(diag.Unknown, "read known_hosts", err)
		}
		defer os.Remove(from)
	}
	db, err := knownhosts.New(from)
	if err != nil {
		return diag.Wrap(diag.Invalid, "read known_hosts", err).WithHint("repair or remove the line")
	}
	k.db = renamed(db, from, k.file)
	k.sign = signature{fi.Size(), fi.ModTime(), fi}
	k.ca, k.added, k.names = ca, nil, nil
	if k.lines = len(lines); len(lines[len(lines)-1]) == 0 {
		k.lines-- // the text after the last line end
	}
	return nil
}

func temporary(text []byte) (string, error) {
	f, err := os.CreateTemp("", "kforge-known-hosts-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	return f.Name(), errors.Join(err, f.Close())
}

// renamed makes the verdicts of db speak of the file that the user knows.
func renamed(db cssh.HostKeyCallback, from, to string) cssh.HostKeyCallback {
	return func(addr string, remote net.Addr, key cssh.PublicKey) error {
		err := db(addr, remote, key)
		var ke *knownhosts.KeyError
		if from != to && errors.As(err, &ke) {
			for i := range ke.Want {
				ke.Want[i].Filename = to
			}
		}
		return err
	}
}

// record appends the key of a new host, unless another process was faster.
func (k *knownHosts) record(addr string, key cssh.PublicKey) (err error) {
	fail := func(err error) error {
		return diag.Wrap(diag.HostKey, "record host key", err).
			WithHint("make %s writable, or name another file with ssh.knownHosts", k.file)
	}
	if err := os.MkdirAll(filepath.Dir(k.file), 0o700); err != nil {
		return fail(err)
	}
	f, err := os.OpenFile(k.file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fail(err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil { // closing unlocks
			err = fail(cerr)
		}
	}()
	if err := lock(f); err != nil {
		return fail(err)
	}
	if err := k.refresh(); err != nil {
		return err
	}
	if err := k.lookup(addr, key); !unknown(err) {
		return k.explain(addr, key, err)
	}
	before, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	entry := knownhosts.Line([]string{addr}, key) + "\n"
	if n := before.Size(); n > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil && !errors.Is(err, io.EOF) {
			return fail(err)
		}
		if last[0] != '\n' {
			entry = "\n" + entry
		}
	}
	if _, err := f.WriteString(entry); err != nil {
		return fail(err)
	}
	after, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	// Reading the file again for each of many new hosts would be quadratic.
	k.sign = signature{after.Size(), after.ModTime(), after}
	k.lines++
	k.added = append(k.added, knownhosts.KnownKey{Key: key, Filename: k.file, Line: k.lines})
	k.names = append(k.names, knownhosts.Normalize(addr))
	return nil
}

// lock takes the advisory lock on f, which closing f gives back.
func lock(f *os.File) error {
	deadline := time.NewTimer(lockPatience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return fmt.Errorf("locking %s: another process holds it", f.Name())
		}
	}
}

package host

import (
	"archive/tar"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyPair is an ed25519 key in the forms that OpenSSH reads.
type keyPair struct {
	Private []byte
	Public  []byte // one line: type, key, comment
}

// ensureKey reads the key pair at path and path.pub, and makes it first if it is not there.
func ensureKey(path, comment string) (keyPair, error) {
	private, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path, comment)
	}
	if err != nil {
		return keyPair{}, fmt.Errorf("reading key: %w", err)
	}
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		return keyPair{}, fmt.Errorf("reading key: %w", err)
	}
	return keyPair{private, public}, nil
}

func makeKey(path, comment string) (keyPair, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding a key: %w", err)
	}
	sshPublic, err := ssh.NewPublicKey(public)
	if err != nil {
		return keyPair{}, fmt.Errorf("encoding a key: %w", err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPublic))) + " " + comment + "\n"
	pair := keyPair{pem.EncodeToMemory(block), []byte(line)}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return keyPair{}, fmt.Errorf("making a key directory: %w", err)
	}
	// The public half first: a private key on disk means that the pair is whole.
	if err := os.WriteFile(path+".pub", pair.Public, 0o644); err != nil {
		return keyPair{}, fmt.Errorf("writing key: %w", err)
	}
	if err := os.WriteFile(path, pair.Private, 0o600); err != nil {
		return keyPair{}, fmt.Errorf("writing key: %w", err)
	}
	return pair, nil
}

// File is something to put into a host.
type File struct {
	Path    string // absolute; a trailing slash makes a directory
	Mode    int64
	Owner   int // user and group
	Content []byte
}

func writeTar(w io.Writer, files []File) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		header := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Uid: f.Owner, Gid: f.Owner, Size: int64(len(f.Content))}
		header.Typeflag = tar.TypeReg
		if strings.HasSuffix(f.Path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(header); err != nil {
			return fmt.Errorf("packing %s: %w", f.Path, err)
		}
		if _, err := t.Write(f.Content); err != nil {
			return fmt.Errorf("packing %s: %w", f.Path, err)
		}
	}
	return t.Close()
}

// users are the logins of every host, with their user ids: root, one whose sudo asks nothing, one whose sudo asks for the
// password "asks". The ids are those that the host image's useradd gave in this order.
var users = []struct {
	Name, Home string
	ID         int
}{
	{"root", "/root", 0},
	{"kforge", "/home/kforge", 1000},
	{"asks", "/home/asks", 1001},
}

// identity is what makes a host this host: its keys, and who may log in.
func identity(host, login keyPair) []File {
	files := hostKeyFiles(host)
	for _, u := range users {
		files = append(files,
			File{Path: u.Home + "/.ssh/", Mode: 0o700, Owner: u.ID},
			File{Path: u.Home + "/.ssh/authorized_keys", Mode: 0o600, Owner: u.ID, Content: login.Public},
		)
	}
	return files
}

func hostKeyFiles(host keyPair) []File {
	return []File{
		{Path: "/etc/ssh/ssh_host_ed25519_key", Mode: 0o600, Content: host.Private},
		{Path: "/etc/ssh/ssh_host_ed25519_key.pub", Mode: 0o644, Content: host.Public},
	}
}

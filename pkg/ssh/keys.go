package ssh

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	cssh "golang.org/x/crypto/ssh"
)

// passphraseTries is how often a person may mistype.
const passphraseTries = 3

// defaultKeys are tried when nobody names a key.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// keyring opens key files, each once for all hosts.
type keyring struct {
	home  string
	ask   func(ctx context.Context, keyFile string) ([]byte, error)
	mu    sync.Mutex
	files map[string]*keyFile
}

// keyFile is one private key. turn is held while it is read or a person is
// asked; it is a channel so that waiting for it ends with the context.
type keyFile struct {
	path   string
	turn   chan struct{}
	read   bool
	locked bool           // encrypted, and not open yet
	public cssh.PublicKey // nil when unknown
	signer cssh.Signer    // nil while locked, or for a public key only
	cert   cssh.Signer    // the signer with its certificate, when there is one
	err    error          // final
}

// offer is what one sign-in may use, in this order, and what to tell when it
// was refused.
type offer struct {
	signers []cssh.Signer
	told    []string
}

func (o *offer) add(s cssh.Signer, name string) {
	for _, have := range o.signers {
		if bytes.Equal(have.PublicKey().Marshal(), s.PublicKey().Marshal()) {
			return
		}
	}
	o.signers = append(o.signers, s)
	o.told = append(o.told, fmt.Sprintf("%s (%s)", name, cssh.FingerprintSHA256(s.PublicKey())))
}

func (o *offer) skip(format string, args ...any) {
	o.told = append(o.told, fmt.Sprintf(format, args...))
}

// offer collects the keys for a hop: files first and in the order written, as
// servers count every key offered and give up after six; then the agent's. A
// locked file whose key the agent holds needs no passphrase. Nobody is asked
// about a key that nobody named while there is another one.
func (d *Dialer) offer(ctx context.Context, h hop, held *agentKeys) (offer, error) {
	var o offer
	files, named := d.cfg.IdentityFiles, true
	if len(files) == 0 {
		files = h.identities
	}
	if len(files) == 0 {
		named = false
		for _, name := range defaultKeys {
			files = append(files, filepath.Join(d.home, ".ssh", name))
		}
	}
	var later []*keyFile
	for _, path := range files {
		k, err := d.keys.open(ctx, homePath(d.home, path))
		switch {
		case err != nil && ctx.Err() != nil:
			return offer{}, ctx.Err()
		case errors.Is(err, fs.ErrNotExist) && !named:
			// that default key does not exist
		case err != nil:
			o.skip("%s: %v", path, err)
		case k.locked || k.signer == nil:
			if s := held.find(k.public); s != nil {
				o.add(s, path+" from the SSH agent")
			} else if !k.locked {
				o.skip("%s holds a public key only, and the SSH agent does not have it", path)
			} else if !named {
				later = append(later, k)
			} else if err := d.unlock(ctx, &o, k); err != nil {
				return offer{}, err
			}
		default:
			o.take(k)
		}
	}
	if !h.identitiesOnly {
		for _, s := range held.all() {
			o.add(s, "SSH agent")
		}
	}
	if held != nil && held.err != nil {
		o.skip("SSH agent: %v", held.err)
	}
	for _, k := range later {
		if len(o.signers) > 0 {
			o.skip("%s is encrypted and was not tried; name it with ssh.identityFiles", k.path)
		} else if err := d.unlock(ctx, &o, k); err != nil {
			return offer{}, err
		}
	}
	return o, nil
}

func (o *offer) take(k *keyFile) {
	if k.cert != nil {
		o.add(k.cert, k.path+" with its certificate")
	}
	o.add(k.signer, k.path)
}

// unlock opens a locked key with the help of a person. Only the end of ctx is
// an error: without that key, others may do.
func (d *Dialer) unlock(ctx context.Context, o *offer, k *keyFile) error {
	err := d.keys.unlock(ctx, k)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		o.skip("%s: %v", k.path, err)
	default:
		o.take(k)
	}
	return nil
}

// open reads the key file at path, once. The copy it gives is safe to read.
func (r *keyring) open(ctx context.Context, path string) (*keyFile, error) {
	k := r.file(path)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if !k.read {
		k.load()
		k.read = true
	}
	if k.err != nil {
		return nil, k.err
	}
	seen := *k
	return &seen, nil
}

func (r *keyring) file(path string) *keyFile {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.files[path]
	if k == nil {
		k = &keyFile{path: path, turn: make(chan struct{}, 1)}
		r.files[path] = k
	}
	return k
}

// unlock asks for the passphrase of seen's file unless somebody already gave
// it, and fills seen in.
func (r *keyring) unlock(ctx context.Context, seen *keyFile) error {
	k := r.file(seen.path)
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if k.locked && k.err == nil {
		if err := r.decrypt(ctx, k); err != nil {
			if ctx.Err() == nil {
				k.err = err // the same question is not asked for every host
			}
			return err
		}
	}
	*seen = *k
	return k.err
}

func (r *keyring) decrypt(ctx context.Context, k *keyFile) error {
	if r.ask == nil {
		return errors.New("is encrypted, and there is nobody to ask for the passphrase (load it with ssh-add)")
	}
	text, err := os.ReadFile(k.path)
	if err != nil {
		return err
	}
	for range passphraseTries {
		pass, err := r.ask(ctx, k.path)
		if err != nil {
			return fmt.Errorf("asking for the passphrase: %w", err)
		}
		signer, err := cssh.ParsePrivateKeyWithPassphrase(text, pass)
		clear(pass)
		if errors.Is(err, x509.IncorrectPasswordError) {
			continue
		}
		if err != nil {
			return err
		}
		k.use(signer)
		return nil
	}
	return errors.New("the passphrase is wrong")
}

func (k *keyFile) load() {
	text, err := os.ReadFile(k.path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the path is said by the caller
		}
		k.err = err
		return
	}
	signer, err := cssh.ParsePrivateKey(text)
	var missing *cssh.PassphraseMissingError
	switch {
	case err == nil:
		k.use(signer)
	case errors.As(err, &missing):
		k.locked, k.public = true, missing.PublicKey
		if k.public == nil { // an old PEM file does not tell
			k.public, _ = readPublic(k.path + ".pub")
		}
	default:
		public, perr := cssh.PublicKey(nil), error(nil)
		if public, _, _, _, perr = cssh.ParseAuthorizedKey(text); perr != nil {
			k.err = fmt.Errorf("is not a private key: %w", err)
			return
		}
		k.public = public // for a key that only the agent holds
	}
}

func (k *keyFile) use(signer cssh.Signer) {
	k.locked, k.signer, k.public = false, signer, signer.PublicKey()
	public, err := readPublic(k.path + "-cert.pub")
	if err != nil {
		return
	}
	if cert, ok := public.(*cssh.Certificate); ok {
		if s, err := cssh.NewCertSigner(cert, signer); err == nil {
			k.cert = s
		}
	}
}

func readPublic(path string) (cssh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := cssh.ParseAuthorizedKey(text)
	return key, err
}

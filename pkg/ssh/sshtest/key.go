package sshtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	cssh "golang.org/x/crypto/ssh"
)

// Key is a key pair, for a user or a host.
type Key struct {
	Public      string // as in authorized_keys, "ssh-ed25519 AAAA..."
	Fingerprint string // "SHA256:..."
	private     crypto.Signer
	signer      cssh.Signer
}

// NewKey makes an ed25519 key.
func NewKey() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return keyOf(private)
}

// NewRSAKey makes a 2048-bit RSA key, which takes a while.
func NewRSAKey() (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return keyOf(private)
}

// NewECDSAKey makes a P-256 key.
func NewECDSAKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return keyOf(private)
}

// MustKey makes an ed25519 key for a test.
func MustKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return k
}

func keyOf(private crypto.Signer) (*Key, error) {
	signer, err := cssh.NewSignerFromSigner(private)
	if err != nil {
		return nil, err
	}
	return &Key{
		Public:      authorized(signer.PublicKey()),
		Fingerprint: cssh.FingerprintSHA256(signer.PublicKey()),
		private:     private,
		signer:      signer,
	}, nil
}

// Private is the private key in itself, for an SSH agent in a test.
func (k *Key) Private() crypto.Signer { return k.private }

// PEM is the private key file, encrypted unless passphrase is empty.
func (k *Key) PEM(passphrase string) ([]byte, error) {
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = cssh.MarshalPrivateKey(k.private, "test")
	} else {
		block, err = cssh.MarshalPrivateKeyWithPassphrase(k.private, "test", []byte(passphrase))
	}
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

// Write writes the private key file with mode 0600.
func (k *Key) Write(t testing.TB, path, passphrase string) {
	t.Helper()
	text, err := k.PEM(passphrase)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatalf("writing key %s: %v", path, err)
	}
}

// HostCert signs host's key for the given names, as a certificate authority,
// and gives the certificate as a public key line.
func (k *Key) HostCert(t testing.TB, host *Key, names ...string) string {
	t.Helper()
	return k.certify(t, host, cssh.HostCert, names)
}

// UserCert signs user's key for the given login names.
func (k *Key) UserCert(t testing.TB, user *Key, names ...string) string {
	t.Helper()
	return k.certify(t, user, cssh.UserCert, names)
}

func (k *Key) certify(t testing.TB, key *Key, kind uint32, names []string) string {
	t.Helper()
	cert := &cssh.Certificate{
		Key: key.signer.PublicKey(), CertType: kind, KeyId: "test", ValidPrincipals: names,
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	if err := cert.SignCert(rand.Reader, k.signer); err != nil {
		t.Fatalf("signing a certificate: %v", err)
	}
	return authorized(cert)
}

func authorized(key cssh.PublicKey) string {
	return strings.TrimSpace(string(cssh.MarshalAuthorizedKey(key)))
}

// same compares two public key lines without their comments.
func same(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) >= 2 && len(y) >= 2 && x[0] == y[0] && x[1] == y[1]
}

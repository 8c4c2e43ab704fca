package rotate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/certs"
)

var now = time.Date(2027, 11, 25, 12, 0, 0, 0, time.UTC)

// plane is a control plane's files in a temporary directory, all well.
type plane struct {
	*Machine
	cas  map[string]*x509.Certificate
	keys map[string]*ecdsa.PrivateKey
}

func newPlane(t *testing.T) *plane {
	t.Helper()
	p := &plane{Machine: &Machine{Root: t.TempDir(), Now: func() time.Time { return now }}, cas: map[string]*x509.Certificate{}, keys: map[string]*ecdsa.PrivateKey{}}
	for _, f := range certs.Of(true) {
		if f.CA {
			p.sign(t, f, now.AddDate(-1, 0, 0), now.AddDate(9, 0, 0))
		}
	}
	for _, f := range certs.Of(true) {
		if !f.CA {
			p.sign(t, f, now.AddDate(0, -1, 0), now.AddDate(0, 11, 0), "n1")
		}
	}
	return p
}

// sign writes a file's certificate and key as kubeadm does.
func (p *plane) sign(t *testing.T, f certs.File, from, end time.Time, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: f.Name}, NotBefore: from, NotAfter: end, DNSNames: names,
		IsCA: f.CA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	parent, signer := template, key
	if !f.CA {
		parent, signer = p.cas[f.Signer], p.keys[f.Signer]
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if f.CA {
		p.cas[f.Name], p.keys[f.Name] = cert, key
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt, private := certs.Encode(cert), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	switch {
	case strings.HasSuffix(f.Path, ".crt"):
		p.write(t, f.Path, crt)
		p.write(t, strings.TrimSuffix(f.Path, ".crt")+".key", private)
	case strings.HasSuffix(f.Path, ".conf"):
		b64 := base64.StdEncoding.EncodeToString
		p.write(t, f.Path, fmt.Appendf(nil, "users: [{name: a, user: {client-certificate-data: %s, client-key-data: %s}}]\n", b64(crt), b64(private)))
	default:
		p.write(t, f.Path, append(crt, private...))
	}
}

func (p *plane) write(t *testing.T, path string, content []byte) {
	t.Helper()
	path = p.path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func file(t *testing.T, name string) certs.File {
	t.Helper()
	for _, f := range certs.Of(true) {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no file %s", name)
	return certs.File{}
}

func TestDue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spoil func(*testing.T, *plane)
		o     Options
		want  []string
	}{
		"nothing": {func(*testing.T, *plane) {}, Options{}, nil},
		"a third is left": {func(t *testing.T, p *plane) {
			p.sign(t, file(t, "etcd-peer"), now.AddDate(0, -9, 0), now.AddDate(0, 3, 0))
		}, Options{}, []string{"etcd-peer: it ends in 92 days"}},
		"more may be asked for": {func(*testing.T, *plane) {}, Options{Left: 0.95, Only: []string{"scheduler.conf"}}, []string{"scheduler.conf: it ends in 335 days"}},
		"ended": {func(t *testing.T, p *plane) {
			p.sign(t, file(t, "admin.conf"), now.AddDate(-1, 0, 0), now.Add(-time.Hour))
		}, Options{}, []string{"admin.conf: it ended on 2027-11-25 11:00:00 (broken)"}},
		"certificate renewed, key not": {func(t *testing.T, p *plane) {
			key, err := os.ReadFile(p.path("/etc/kubernetes/pki/apiserver.key"))
			if err != nil {
				t.Fatal(err)
			}
			p.sign(t, file(t, "apiserver"), now, now.AddDate(1, 0, 0), "n1")
			p.write(t, "/etc/kubernetes/pki/apiserver.key", key)
		}, Options{}, []string{"apiserver: it does not fit its key (broken)"}},
		"cut short": {func(t *testing.T, p *plane) {
			p.write(t, "/etc/kubernetes/pki/etcd/server.crt", []byte("-----BEGIN CERT"))
		}, Options{},
			[]string{"etcd-server: it cannot be read: read certificate: there is none in the file (broken)"}},
		"a name is missing": {func(*testing.T, *plane) {}, Options{SANs: []string{"n1", "n2"}}, []string{"apiserver: it is not for n2 (anew)"}},
		"CA was replaced": {func(t *testing.T, p *plane) { p.sign(t, file(t, "front-proxy-ca"), now, now.AddDate(10, 0, 0)) }, Options{},
			[]string{"front-proxy-client: it is not signed by the front-proxy-ca of this host"}},
		"all": {func(*testing.T, *plane) {}, Options{Force: true, Only: []string{"apiserver", "admin.conf", "kubelet", "ca"}},
			[]string{"apiserver: all are to be renewed", "admin.conf: all are to be renewed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlane(t)
			tc.spoil(t, p)
			var got []string
			for _, d := range due(p.read(), now, tc.o) {
				line := d.Name + ": " + d.Why
				if d.Broken {
					line += " (broken)"
				}
				if d.Anew {
					line += " (anew)"
				}
				got = append(got, line)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A backup holds every file that a rotation changes, for root only, and the
// newest ones stay.
func TestBackup(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	var last string
	for day := range 4 {
		var err error
		if last, err = p.backup("/var/backups/kforge-certs", 2, now.AddDate(0, 0, day)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(p.path("/var/backups/kforge-certs"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	files, err := p.kept()
	if err != nil || len(files) < 20 {
		t.Errorf("%v, %v", files, err)
	}
	for _, name := range files {
		want, err := os.ReadFile(p.path(filepath.Join("/etc/kubernetes", name)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(p.path(filepath.Join(last, name)))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if fi, err := os.Stat(p.path(last)); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi, err)
	}
}

func TestAnnotated(t *testing.T) {
	t.Parallel()
	const manifest = "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    component: kube-scheduler\n  name: kube-scheduler\nspec:\n  containers:\n  - command:\n    - kube-scheduler\n"
	once, err := annotated([]byte(manifest), "a1")
	if err != nil {
		t.Fatal(err)
	}
	twice, err := annotated(once, "b2")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(once), `kforge.dev/certs: "a1"`) || strings.ReplaceAll(string(once), "a1", "b2") != string(twice) {
		t.Errorf("once:\n%s\ntwice:\n%s", once, twice)
	}
	var before, after map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &before); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(twice, &after); err != nil {
		t.Fatal(err)
	}
	delete(after["metadata"].(map[string]any), "annotations")
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}

// What was renewed is judged by whether it is of use, not by how long it lives: a
// lifetime of which too little is left at once must not be taken for a failure.
func TestCheck(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	done := []Due{{Name: "apiserver"}}
	p.sign(t, file(t, "apiserver"), now.Add(-5*time.Minute), now.Add(time.Minute), "n1")
	if err := p.check(done, Options{Left: 0.9}); err != nil {
		t.Error(err)
	}
	if err := p.check(done, Options{SANs: []string{"n2"}}); err == nil {
		t.Error("a name is missing, and nobody says so")
	}
	p.sign(t, file(t, "apiserver"), now.Add(-5*time.Minute), now.Add(-time.Minute), "n1")
	if err := p.check(done, Options{}); err == nil {
		t.Error("it has ended, and nobody says so")
	}
}

// A run of kforge on the host is waited for, and only so long.
func TestFree(t *testing.T) {
	t.Parallel()
	p := newPlane(t)
	if err := p.Free(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
	p.write(t, hostLock, nil)
	f, err := os.Open(p.path(hostLock))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if err := p.Free(t.Context(), 10*time.Millisecond); err == nil {
		t.Error("somebody has the lock, and nobody says so")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := p.Free(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
}

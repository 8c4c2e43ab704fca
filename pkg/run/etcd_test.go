package run

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/inventory"
)

func planesOf(names ...string) *inventory.Cluster {
	c := &inventory.Cluster{Name: "lab", File: "lab.yaml"}
	for _, n := range names {
		c.Hosts = append(c.Hosts, inventory.ResolvedHost{Name: n, Roles: []string{inventory.RoleControlPlane}})
	}
	return c
}

func TestEtcdViewTellsWhatIsNotAsTheInventorySays(t *testing.T) {
	t.Parallel()
	v := viewOf(planesOf("n1", "n2", "n3"), []etcd.Member{
		{ID: 1, Name: "n1", Healthy: true, Leader: true}, {ID: 2, Name: "n2", Problem: "connection refused"}, {ID: 9, Name: "old", Healthy: true},
	})
	want := []string{
		"n3 is a control plane of the inventory, and no member: apply joins it",
		"n2: connection refused",
		"old is a member, and no control plane of the inventory",
	}
	if diff := cmp.Diff(want, v.Problems); diff != "" || v.Quorum != 2 || v.Healthy != 2 || v.Voters != 3 {
		t.Errorf("view %+v\n%s", v, diff)
	}
}

func TestSnapshotsAreOfTheirOwnCluster(t *testing.T) {
	t.Parallel()
	r := &restoration{file: "x.db", contents: etcd.Contents{Nodes: []string{"a", "n2"}}}
	if err := r.sameCluster(planesOf("n1", "n2")); err != nil {
		t.Errorf("a cluster that has grown: %v", err)
	}
	err := r.sameCluster(planesOf("n1"))
	if diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "its nodes are a, n2") {
		t.Errorf("another cluster: %v", err)
	}
}

func TestSumBesideASnapshot(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.db")
	if err := checkSum(file, "aa"); err != nil {
		t.Errorf("without a file of sums: %v", err)
	}
	if err := os.WriteFile(file+SumSuffix, []byte("aa  x.db\nbb  x.db.pki.tar\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkSum(file, "aa"); err != nil {
		t.Errorf("the right sum: %v", err)
	}
	if err := checkSum(file, "bb"); diag.KindOf(err) != diag.Digest || diag.Hint(err) == "" {
		t.Errorf("another sum: %v", err)
	}
}

func TestVacantKeepsOlderSnapshots(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.db")
	if err := vacant(file, file+SumSuffix); err != nil {
		t.Errorf("vacant: %v", err)
	}
	if err := os.WriteFile(file+SumSuffix, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := vacant(file, file+SumSuffix); diag.KindOf(err) != diag.Invalid || !strings.Contains(err.Error(), "x.db.sha256 is there already") {
		t.Errorf("vacant: %v", err)
	}
}

func TestWriteWholeLeavesNothingWhenItFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := writeWhole(filepath.Join(dir, "x"), func(f *os.File) error {
		f.WriteString("half")
		return diag.New(diag.Transport, "", "cut off")
	})
	if left, readErr := os.ReadDir(dir); diag.KindOf(err) != diag.Transport || readErr != nil || len(left) != 0 {
		t.Errorf("writeWhole: %v, and it left %v, %v", err, left, readErr)
	}
}

// pair makes a self-signed certificate and its key.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
}

func TestPKIArchive(t *testing.T) {
	t.Parallel()
	var files []pkiFile
	for _, name := range pkiNames {
		files = append(files, pkiFile{name, []byte(name)})
	}
	put := func(name string, content []byte) {
		files[slices.IndexFunc(files, func(f pkiFile) bool { return f.Name == name })].Content = content
	}
	for _, ca := range []string{"", "front-proxy-", "etcd/"} {
		cert, key := pair(t)
		put(ca+"ca.crt", cert)
		put(ca+"ca.key", key)
	}
	write := func(files []pkiFile, cut int) string {
		var b bytes.Buffer
		if err := writePKI(&b, files, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.pki.tar")
		if err := os.WriteFile(path, b.Bytes()[:b.Len()-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := readPKIArchive(write(files, 0))
	if diff := cmp.Diff(files, got); err != nil || diff != "" {
		t.Fatalf("readPKIArchive: %v\n%s", err, diff)
	}
	_, stray := pair(t)
	wrongKey := slices.Clone(files)
	wrongKey[slices.IndexFunc(files, func(f pkiFile) bool { return f.Name == "etcd/ca.key" })].Content = stray
	for name, tt := range map[string]struct{ path, says string }{
		"cut off":    {write(files, 1500), "unexpected EOF"},
		"missing":    {write(files[:5], 0), "front-proxy-ca.key is missing"},
		"wrong key":  {write(wrongKey, 0), "etcd/ca.key does not fit its certificate"},
		"other file": {write(append(slices.Clone(files), pkiFile{"../../etc/passwd", nil}), 0), "has no place in it"},
		"not a file": {filepath.Join(t.TempDir(), "none"), "no such file"},
	} {
		if _, err := readPKIArchive(tt.path); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", name, err, tt.says)
		}
	}
}

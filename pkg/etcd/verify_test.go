package etcd

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"kforge.dev/kforge/pkg/diag"
)

// snapshotFile writes a database as etcd lays it out, with its digest behind it.
func snapshotFile(t *testing.T, bucket string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucket))
		if err != nil {
			return err
		}
		put := func(rev uint64, key string, deleted bool) {
			k := append(binary.BigEndian.AppendUint64(nil, rev), '_', 0, 0, 0, 0, 0, 0, 0, 0)
			if deleted {
				k = append(k, 't')
			}
			v, err := proto.Marshal(&mvccpb.KeyValue{Key: []byte(key), Value: []byte(strings.Repeat("x", 200))})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Put(k, v); err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range []string{"/registry/minions/n1", "/registry/minions/n2", "/registry/configmaps/default/a", "/registry/configmaps/default/a"} {
			put(uint64(i+2), key, false)
		}
		put(9, "/registry/minions/n2", true)
		return b.Put(append(binary.BigEndian.AppendUint64(nil, 1_000_000_009), '_', 0, 0, 0, 0, 0, 0, 0, 0), nil) // of a restore
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	if err := os.WriteFile(path, append(data, sum[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerify(t *testing.T) {
	t.Parallel()
	got, err := Verify(snapshotFile(t, "key"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Keys != 2 || got.Revision != 1_000_000_009 || !slices.Equal(got.Nodes, []string{"n1"}) || len(got.SHA256) != 64 {
		t.Errorf("Verify = %+v", got)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	change := func(path string, f func([]byte) []byte) string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	resum := func(data []byte) []byte {
		data = data[:len(data)-sha256.Size]
		sum := sha256.Sum256(data)
		return append(data, sum[:]...)
	}
	tests := map[string]struct{ path, says string }{
		"cut off":    {change(snapshotFile(t, "key"), func(b []byte) []byte { return b[:len(b)-1000] }), "no digest follows the pages"},
		"data dir":   {change(snapshotFile(t, "key"), func(b []byte) []byte { return b[:len(b)-sha256.Size] }), "no digest follows the pages"},
		"one bit":    {change(snapshotFile(t, "key"), func(b []byte) []byte { b[5000] ^= 1; return b }), "does not fit its content"},
		"other file": {change(snapshotFile(t, "key"), func(b []byte) []byte { return resum(slices.Repeat([]byte("abcd"), 4096+8)) }), "invalid database"},
		"no etcd":    {snapshotFile(t, "other"), "no database of etcd"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Verify(tt.path)
			if diag.KindOf(err) != diag.Digest || !strings.Contains(err.Error(), tt.says) || diag.Hint(err) == "" {
				t.Errorf("Verify: %v (%q), want %q", err, diag.KindOf(err), tt.says)
			}
		})
	}
	if _, err := Verify(filepath.Join(t.TempDir(), "none")); diag.KindOf(err) != diag.NotFound {
		t.Errorf("a file that is not there: %v", err)
	}
}

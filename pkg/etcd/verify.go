package etcd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"kforge.dev/kforge/pkg/diag"
)

// Contents is what a snapshot file holds.
type Contents struct {
	Size     int64     `json:"size"`
	SHA256   string    `json:"sha256"` // of the file
	Modified time.Time `json:"modified"`
	Revision int64     `json:"revision"`
	Keys     int       `json:"keys"`  // that are not deleted
	Nodes    []string  `json:"nodes"` // names of the cluster's Node objects
}

// nodeKeys is where Kubernetes keeps its Node objects.
const nodeKeys = "/registry/minions/"

// Verify reads a snapshot file from end to end as a restore would: the digest
// that etcd put behind the data, every page of the database, and every key.
func Verify(path string) (Contents, error) {
	op := "check snapshot " + path
	bad := func(err error) error {
		return diag.Wrap(diag.Digest, op, err).WithHint("take another: this file cannot be restored")
	}
	c, err := digests(path)
	switch {
	case errors.Is(err, errDigest):
		return c, bad(err)
	case err != nil:
		return c, &diag.Error{Kind: diag.NotFound, Op: op, Err: err}
	}
	db, err := bolt.Open(path, 0o400, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return c, bad(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bolt.Tx) error { return c.read(tx) }); err != nil {
		return c, bad(err)
	}
	return c, nil
}

var errDigest = errors.New("the digest at its end does not fit its content")

// digests checks the sha256 that ends every snapshot that etcd gave out, and
// takes the file's own.
func digests(path string) (Contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return Contents{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return Contents{}, err
	}
	c := Contents{Size: fi.Size(), Modified: fi.ModTime()}
	// Pages are multiples of 512 bytes; the digest is what is beyond.
	if fi.Size()%512 != sha256.Size {
		return c, fmt.Errorf("%w: its size is %d bytes, and no digest follows the pages (cut off, or a copy of a data directory)", errDigest, fi.Size())
	}
	whole, data := sha256.New(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(whole, data), io.LimitReader(f, fi.Size()-sha256.Size)); err != nil {
		return c, err
	}
	end, err := io.ReadAll(f)
	if err != nil {
		return c, err
	}
	whole.Write(end)
	c.SHA256 = hex.EncodeToString(whole.Sum(nil))
	if !bytes.Equal(end, data.Sum(nil)) {
		return c, errDigest
	}
	return c, nil
}

// read goes through the database.
func (c *Contents) read(tx *bolt.Tx) error {
	var broken []string
	for err := range tx.Check() {
		broken = append(broken, err.Error())
	}
	if len(broken) > 0 {
		return fmt.Errorf("%d pages are damaged: %s", len(broken), strings.Join(broken[:min(3, len(broken))], "; "))
	}
	keys := tx.Bucket([]byte("key"))
	if keys == nil {
		return errors.New("it is no database of etcd: there is no bucket of keys")
	}
	living, nodes := map[string]struct{}{}, map[string]struct{}{}
	err := keys.ForEach(func(rev, value []byte) error {
		// 8 bytes of revision, "_", 8 bytes of its part, and "t" for a deletion.
		if len(rev) < 17 {
			return fmt.Errorf("revision %x is too short", rev)
		}
		c.Revision = int64(binary.BigEndian.Uint64(rev)) //nolint:gosec // etcd's own type is int64
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(value, &kv); err != nil {
			return fmt.Errorf("key of revision %d: %w", c.Revision, err)
		}
		name := string(kv.Key)
		node, isNode := strings.CutPrefix(name, nodeKeys)
		if len(rev) > 17 {
			delete(living, name)
			delete(nodes, node)
			return nil
		}
		if name == "" { // the mark that an earlier restore left
			return nil
		}
		living[name] = struct{}{}
		if isNode {
			nodes[node] = struct{}{}
		}
		return nil
	})
	c.Keys, c.Nodes = len(living), slices.Sorted(maps.Keys(nodes))
	return err
}

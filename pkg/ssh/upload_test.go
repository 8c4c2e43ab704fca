package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/ssh/sshtest"
)

// depot is a host to upload to, by SFTP below root or by shell.
type depot struct {
	name string
	srv  *sshtest.Server
	conn *Conn
	root string
	base string // what the root is called on the host
}

func depots(t *testing.T, f sshtest.Faults) []depot {
	t.Helper()
	b := newBench(t)
	var out []depot
	for _, name := range []string{"sftp", "exec"} {
		root := t.TempDir()
		f, base := f, ""
		if name == "exec" {
			f.NoSFTP, base = true, root
		}
		srv := b.server(sshtest.Options{Root: root, Handler: sshtest.Shell(root), Faults: f})
		out = append(out, depot{name, srv, b.dial(srv), root, base})
	}
	return out
}

func sample(n int) ([]byte, string) {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:])
}

// only checks that dir holds the given files and nothing else, such as half
// ones.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, names)
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	data, sum := sample(300_001)
	for _, d := range depots(t, sshtest.Faults{}) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(d.root, "it's", "deep")
			name := d.base + "/it's/deep/agent"
			for range 2 { // the second replaces the first
				if err := d.conn.Upload(t.Context(), name, 0o755, bytes.NewReader(data), int64(len(data)), sum); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(filepath.Join(dir, "agent"))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("stored %d bytes, %v", len(got), err)
			}
			for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, "agent"): 0o755} {
				if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
					t.Errorf("%s has mode %v, want %v", path, fi.Mode().Perm(), want)
				}
			}
			only(t, dir, "agent")
			if err := d.conn.Upload(t.Context(), d.base+"/empty", 0o600, bytes.NewReader(nil), 0, ""); err != nil {
				t.Errorf("an empty file: %v", err)
			}
			if sftp := d.srv.Stats().SFTP > 0; sftp != (d.name == "sftp") {
				t.Errorf("went by SFTP: %t", sftp)
			}
		})
	}
}

func TestUploadRefusesWrongContent(t *testing.T) {
	t.Parallel()
	data, _ := sample(100_000)
	_, other := sample(10)
	for _, d := range depots(t, sshtest.Faults{}) {
		if err := os.WriteFile(filepath.Join(d.root, "file"), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.conn.Upload(t.Context(), d.base+"/file", 0o600, bytes.NewReader(data), int64(len(data)), other)
		wantError(t, err, diag.Digest, "n1", other)
		err = d.conn.Upload(t.Context(), d.base+"/file", 0o600, bytes.NewReader(data[:10]), 20, "")
		if err == nil {
			t.Errorf("%s: a short reader passed", d.name)
		}
		only(t, d.root, "file")
		if got, _ := os.ReadFile(filepath.Join(d.root, "file")); string(got) != "old" {
			t.Errorf("%s: the old file was touched", d.name)
		}
	}
}

func TestUploadToAFullDisk(t *testing.T) {
	t.Parallel()
	data, sum := sample(200_000)
	d := depots(t, sshtest.Faults{DiskBytes: 100_000})[0]
	err := d.conn.Upload(t.Context(), "/bin/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum)
	wantError(t, err, diag.NoSpace, "n1", "free some space on the file system of /bin")
	only(t, filepath.Join(d.root, "bin"))

	b := newBench(t)
	srv := b.server(sshtest.Options{Handler: func(_ context.Context, _ string, stdin io.Reader, _, stderr io.Writer) int {
		_, _ = io.CopyN(io.Discard, stdin, 1000)
		_, _ = io.WriteString(stderr, "cat: write error: No space left on device\n")
		return 1
	}})
	err = b.dial(srv).Upload(t.Context(), "/bin/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum)
	wantError(t, err, diag.NoSpace, "n1", "free some space")
}

func TestUploadWhereItMayNot(t *testing.T) {
	t.Parallel()
	for _, d := range depots(t, sshtest.Faults{}) {
		if err := os.WriteFile(filepath.Join(d.root, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.conn.Upload(t.Context(), d.base+"/file/below", 0o600, strings.NewReader("x"), 1, "")
		if diag.KindOf(err) == diag.Unknown || diag.KindOf(err).Retryable() {
			t.Errorf("%s: %v (kind %q)", d.name, err, diag.KindOf(err))
		}
	}
	b := newBench(t)
	srv := b.server(sshtest.Options{Handler: func(_ context.Context, _ string, _ io.Reader, _, stderr io.Writer) int {
		_, _ = io.WriteString(stderr, "mkdir: cannot create directory: Permission denied\n")
		return 1
	}})
	err := b.dial(srv).Upload(t.Context(), "/root/x", 0o600, strings.NewReader("x"), 1, "")
	wantError(t, err, diag.Permission, "n1", "admin may not write to /root")
}

// A login shell that prints breaks SFTP: the upload goes through exec then.
func TestUploadPastANoisyShell(t *testing.T) {
	t.Parallel()
	data, sum := sample(50_000)
	d := depots(t, sshtest.Faults{Noise: "Welcome to this machine, dear user!\n"})[0]
	if err := d.conn.Upload(t.Context(), filepath.Join(d.root, "file"), 0o600, bytes.NewReader(data), int64(len(data)), sum); err != nil {
		t.Fatal(err)
	}
	only(t, d.root, "file")
}

// stopping cancels a context in the middle of being read.
type stopping struct {
	io.ReaderAt
	once   sync.Once
	cancel context.CancelFunc
}

func (s *stopping) ReadAt(p []byte, off int64) (int, error) {
	if off > 50_000 {
		s.once.Do(s.cancel)
	}
	return s.ReaderAt.ReadAt(p, off)
}

func TestUploadCanceledLeavesNothing(t *testing.T) {
	t.Parallel()
	data, sum := sample(400_000)
	for _, d := range depots(t, sshtest.Faults{}) {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.conn.Upload(ctx, d.base+"/bin/agent", 0o755, &stopping{ReaderAt: bytes.NewReader(data), cancel: cancel}, int64(len(data)), sum)
		wantError(t, err, diag.Canceled, "n1")
		only(t, filepath.Join(d.root, "bin"))
		if err := d.conn.Upload(t.Context(), d.base+"/bin/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum); err != nil {
			t.Errorf("%s: uploading again: %v", d.name, err)
		}
	}
}

func TestUploadOverACutConnection(t *testing.T) {
	t.Parallel()
	data, sum := sample(2_000_000)
	for _, d := range depots(t, sshtest.Faults{CutAfter: 1_000_000}) {
		err := d.conn.Upload(t.Context(), d.base+"/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum)
		wantError(t, err, diag.Transport, "n1")
		if _, err := os.Stat(filepath.Join(d.root, "agent")); err == nil {
			t.Errorf("%s: half a file is in place", d.name)
		}
	}
}

// sshd gives a session's place back a moment after its end.
func TestUploadBetweenCommandsWithOneSession(t *testing.T) {
	t.Parallel()
	data, sum := sample(50_000)
	for _, d := range depots(t, sshtest.Faults{MaxSessions: 1}) {
		for i := range 10 {
			if _, _, err := d.conn.Run(t.Context(), "true", nil); err != nil {
				t.Fatalf("%s, run %d: %v", d.name, i, err)
			}
			if err := d.conn.Upload(t.Context(), d.base+"/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum); err != nil {
				t.Fatalf("%s, upload %d: %v", d.name, i, err)
			}
		}
	}
}

// With a round trip per 32 KiB packet this would take 77 round trips.
func TestUploadWritesConcurrently(t *testing.T) {
	t.Parallel()
	data, sum := sample(2_500_000)
	b := newBench(t)
	root := t.TempDir()
	srv := b.server(sshtest.Options{Root: root})
	proxy := slowProxy(t, srv.Addr(), 50*time.Millisecond)
	tg := target(srv)
	tg.Port = proxy
	c, err := b.dialer().Dial(t.Context(), tg)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Upload(t.Context(), "/agent", 0o755, bytes.NewReader(data), int64(len(data)), sum); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("2.5 MB at 100 ms round trip: %s", took)
	if took > 77*100*time.Millisecond { // however fast the machine is
		t.Errorf("took %s: the writes wait for each other", took)
	}
}

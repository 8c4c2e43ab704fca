package run

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/wire"
)

// SnapshotOptions of EtcdSnapshot.
type SnapshotOptions struct {
	File    string // "" makes a name of cluster and time, in the current folder
	WithPKI bool   // save the CAs' keys too, into File + PKISuffix
}

// PKISuffix ends the name of the archive with the cluster's keys, SumSuffix that
// of the file with the digests of both.
const (
	PKISuffix = ".pki.tar"
	SumSuffix = ".sha256"
)

// SnapshotView tells of a snapshot that was written and read back.
type SnapshotView struct {
	Cluster string `json:"cluster"`
	File    string `json:"file"`
	PKI     string `json:"pki,omitempty"`
	etcd.Saved
	Revision int64    `json:"revision"`
	Keys     int      `json:"keys"`
	Nodes    []string `json:"nodes"`
}

// EtcdSnapshot writes etcd's state into a file on this machine, whole or not at
// all, readable by its owner only, and reads it back as a restore would.
func EtcdSnapshot(ctx context.Context, e *Env, o Options, so SnapshotOptions) (*SnapshotView, error) {
	o.Limit = []string{"role:" + inventory.RoleControlPlane}
	s, err := open(e, o, "etcd snapshot", wire.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer s.close()
	view := &SnapshotView{Cluster: s.cluster.Name, File: so.File}
	if view.File == "" {
		view.File = fmt.Sprintf("%s-etcd-%s.db", s.cluster.Name, s.started.UTC().Format("20060102T150405Z"))
	}
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		if err := vacant(view.File, view.File+SumSuffix, view.File+PKISuffix); err != nil {
			return err
		}
		if err := s.reachAsked(ctx); err != nil {
			return err
		}
		return s.watch.time("snapshot", func() error { return s.snapshot(ctx, view, so.WithPKI) })
	})
	return view, s.finish(err)
}

// vacant refuses to write over anything: an older snapshot is worth more than a
// name.
func vacant(paths ...string) error {
	var errs []error
	for _, p := range paths {
		if _, err := os.Lstat(p); err == nil {
			errs = append(errs, diag.New(diag.Invalid, "write snapshot", "%s is there already", p).WithHint("give another name with --file"))
		} else if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, diag.Wrap(diag.Invalid, "write snapshot", err))
		}
	}
	return errors.Join(errs...)
}

func (s *session) snapshot(ctx context.Context, view *SnapshotView, withPKI bool) error {
	var pki []pkiFile
	if withPKI { // first: what cannot be had must not cost a long transfer
		var err error
		if pki, err = s.fleet.readPKI(ctx); err != nil {
			return err
		}
	}
	members, err := s.executor.members(ctx)
	if err != nil {
		return err
	}
	sums := ""
	err = writeWhole(view.File, func(f *os.File) error {
		sink := &progressWriter{w: f, tell: func(n int64) {
			s.sink(event.Event{Event: event.Progress, Title: "receive snapshot", Done: n})
		}}
		if view.Saved, err = members.Snapshot(ctx, sink); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		contents, err := etcd.Verify(f.Name())
		if err != nil {
			return err
		}
		if contents.SHA256 != view.SHA256 {
			return diag.New(diag.Digest, "check snapshot", "the disk gave back other bytes than were written")
		}
		view.Revision, view.Keys, view.Nodes = contents.Revision, contents.Keys, contents.Nodes
		sums += fmt.Sprintf("%s  %s\n", view.SHA256, filepath.Base(view.File))
		return nil
	})
	if err != nil {
		return err
	}
	if withPKI {
		view.PKI = view.File + PKISuffix
		sum := sha256.New()
		if err := writeWhole(view.PKI, func(f *os.File) error { return writePKI(io.MultiWriter(f, sum), pki, s.started) }); err != nil {
			return err
		}
		sums += fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum.Sum(nil)), filepath.Base(view.PKI))
	}
	return writeWhole(view.File+SumSuffix, func(f *os.File) error {
		_, err := f.WriteString(sums)
		return err
	})
}

// writeWhole makes a file of mode 0600 that appears only when write has ended
// well and the disk has it.
func writeWhole(path string, write func(*os.File) error) error {
	op := "write " + path
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return &diag.Error{Op: op, Err: err, Hint: "the folder must be there and writable"}
	}
	defer os.Remove(tmp.Name()) // fails once it is renamed
	defer tmp.Close()
	if err := write(tmp); err != nil {
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return &diag.Error{Op: op, Err: err}
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return &diag.Error{Op: op, Err: err}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return &diag.Error{Op: op, Err: err}
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return &diag.Error{Op: op, Err: err}
	}
	return nil
}

// progressWriter tells of what went through it, a few times a second.
type progressWriter struct {
	w    io.Writer
	n    int64
	last time.Time
	tell func(n int64)
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	if now := time.Now(); now.Sub(p.last) > 250*time.Millisecond {
		p.last = now
		p.tell(p.n)
	}
	return n, err
}

// pkiFile is one of the files that a cluster cannot be brought back without:
// its workers and its tokens trust these keys, and no snapshot holds them.
type pkiFile struct {
	Name    string // below pkiDir
	Content []byte
}

const pkiDir = "/etc/kubernetes/pki"

// pkiNames are what kubeadm shares between control planes; all else it signs
// anew with them.
var pkiNames = []string{
	"ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key",
}

// readPKI reads the keys from the first control plane that has them all.
func (f *fleet) readPKI(ctx context.Context) ([]pkiFile, error) {
	var errs []error
	for _, cp := range f.cluster.ControlPlanes() {
		if err := f.unreachable[cp.Name]; err != nil {
			errs = append(errs, err)
			continue
		}
		files, err := f.readPKIOf(ctx, cp.Name)
		if err == nil {
			return files, nil
		}
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	return nil, &diag.Error{Kind: diag.KindOf(err), Op: "read the cluster's keys", Err: err,
		Hint: "with CAs kept elsewhere there is nothing to save here: take the snapshot without --with-pki"}
}

func (f *fleet) readPKIOf(ctx context.Context, name string) (out []pkiFile, err error) {
	h, err := f.host(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, file := range pkiNames {
		content, err := h.Read(ctx, pkiDir+"/"+file, 1<<20)
		if err != nil {
			return nil, err
		}
		out = append(out, pkiFile{file, content})
	}
	return out, nil
}

func writePKI(w io.Writer, files []pkiFile, at time.Time) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: 0o600, Size: int64(len(f.Content)), ModTime: at, Typeflag: tar.TypeReg}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(f.Content); err != nil {
			return err
		}
	}
	return tw.Close()
}

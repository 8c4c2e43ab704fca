package run

import (
	"archive/tar"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/etcd"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/graph"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/plan"
	"kforge.dev/kforge/pkg/spec"
)

// RestoreOptions of EtcdRestore.
type RestoreOptions struct {
	File string
	PKI  string // archive with the cluster's keys; "" for File + PKISuffix
}

// EtcdRestore puts a cluster back to a snapshot. Where the control planes are
// still set up, their etcd's data is replaced and all else stays; where nothing
// is left of them, the cluster is built anew around its data and its keys.
func EtcdRestore(ctx context.Context, e *Env, o Options, ro RestoreOptions) error {
	r, err := newRestoration(ro.File)
	if err != nil {
		return err
	}
	if err := r.look(ctx, e, o, ro.PKI); err != nil {
		return err
	}
	if len(r.hosts) == 0 {
		return applyAs(ctx, e, o, "etcd restore", r)
	}
	return onPlanes(ctx, e, o, "etcd restore", func(_ context.Context, s *session) ([]graph.Step, error) {
		if err := s.leftErr(); err != nil { // lost since it was looked at
			return nil, err
		}
		s.restore, s.executor.local = r, r.local()
		return plan.Restore(plan.RestoreInput{Hosts: r.hosts, Snapshot: r.blob(), Stamp: r.stamp, Bump: r.bump}), nil
	})
}

// restoration is a snapshot, and what is there to be restored to it.
type restoration struct {
	file     string
	contents etcd.Contents
	stamp    string
	bump     int64
	hosts    []plan.RestoreHost // whose data is replaced; none where all begins anew
	pki      []pkiFile
}

func newRestoration(file string) (*restoration, error) {
	contents, err := etcd.Verify(file)
	if err != nil {
		return nil, err
	}
	if err := checkSum(file, contents.SHA256); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	return &restoration{
		file: file, contents: contents, stamp: now.Format("20060102T150405Z"), bump: plan.Bump(contents.Revision, now.UnixMilli()),
	}, nil
}

// checkSum holds a file against the digest beside it, where there is one.
func checkSum(file, sum string) error {
	text, err := os.ReadFile(file + SumSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Wrap(diag.Invalid, "check "+file, err)
	}
	for line := range strings.Lines(string(text)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if ok && name == filepath.Base(file) && want != sum {
			return diag.New(diag.Digest, "check "+file, "its sha256 is %s, and %s says %s", sum, file+SumSuffix, want).
				WithHint("the file was changed since it was taken: use another copy")
		}
	}
	return nil
}

func (r *restoration) blob() spec.Blob {
	return spec.Blob{Digest: "sha256:" + r.contents.SHA256, Size: r.contents.Size, Name: "snapshot " + filepath.Base(r.file)}
}

func (r *restoration) local() map[string]string { return map[string]string{r.blob().Digest: r.file} }

// plan is what the planner is told of a cluster that begins anew.
func (r *restoration) plan() *plan.Restored {
	out := &plan.Restored{Snapshot: r.blob(), Nodes: r.contents.Nodes, Stamp: r.stamp, Bump: r.bump}
	for _, f := range r.pki {
		out.PKI = append(out.PKI, plan.PKIFile{Path: pkiDir + "/" + f.Name, Content: f.Content})
	}
	return out
}

// String tells a person what the cluster goes back to.
func (r *restoration) String() string {
	return fmt.Sprintf("the cluster goes back to %s, a file of %s: %d keys up to revision %d, nodes %s; what was written since is lost",
		r.file, r.contents.Modified.Format("2006-01-02 15:04:05 MST"), r.contents.Keys, r.contents.Revision, strings.Join(r.contents.Nodes, " "))
}

// look finds out which control planes there are to be restored, and where the
// cluster's keys are. It changes nothing.
func (r *restoration) look(ctx context.Context, e *Env, o Options, pki string) error {
	s, err := lookAtPlanes(ctx, e, o, "etcd restore")
	if err != nil {
		return err
	}
	defer s.fleet.close()
	if err := r.sameCluster(s.cluster); err != nil {
		return err
	}
	asked, err := s.cluster.Select(nil, o.Skip)
	if err != nil {
		return err
	}
	var errs []error
	var bare []string
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		for _, h := range s.cluster.ControlPlanes() {
			if !slices.Contains(asked, h.Name) {
				continue
			}
			if err := s.fleet.unreachable[h.Name]; err != nil {
				errs = append(errs, &diag.Error{Kind: diag.KindOf(err), Host: h.Name, Err: err,
					Hint: "make it reachable; or leave it out with --skip " + h.Name + ": then reset it before it comes back, and apply joins it anew"})
				continue
			}
			member, ok, err := s.fleet.etcdMember(ctx, h)
			switch {
			case err != nil:
				errs = append(errs, err)
			case ok:
				r.hosts = append(r.hosts, plan.RestoreHost{Name: h.Name, TimeoutScale: h.TimeoutScale, Member: member})
			default:
				bare = append(bare, h.Name)
			}
		}
		if len(errs) > 0 || len(r.hosts) > 0 {
			return errors.Join(errs...)
		}
		r.pki, err = s.fleet.findPKI(ctx, bare, r.file, pki)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range bare {
		if len(r.hosts) > 0 {
			s.sink(event.Event{Event: event.Warning, Host: name, Text: "is no control plane yet: apply joins it when the others are back"})
		}
	}
	return nil
}

// sameCluster refuses a snapshot of other machines: their Node objects would
// come back, and none of these would have one.
func (r *restoration) sameCluster(c *inventory.Cluster) error {
	if slices.ContainsFunc(r.contents.Nodes, func(n string) bool { _, ok := c.Host(n); return ok }) {
		return nil
	}
	return diag.New(diag.Invalid, "check "+r.file, "it is of another cluster: its nodes are %s, and none of them is a host of %s", strings.Join(r.contents.Nodes, ", "), c.File).
		WithHint("name a snapshot of this cluster")
}

// etcdMember reads the manifest of a control plane's etcd, wherever an earlier
// restore may have left it. ok is false for a host that is none yet.
func (f *fleet) etcdMember(ctx context.Context, h inventory.ResolvedHost) (m kubeadm.EtcdMember, ok bool, err error) {
	if facts := f.facts[h.Name]; !facts.Kubernetes.AdminConf || kubeadm.HalfDone(facts) {
		return m, false, nil
	}
	conn, err := f.host(ctx, h.Name)
	if err != nil {
		return m, false, err
	}
	manifest, err := conn.Read(ctx, kubeadm.ManifestDir+"/etcd.yaml", 1<<20)
	if diag.KindOf(err) == diag.NotFound {
		manifest, err = conn.Read(ctx, plan.RestoreAside+"/etcd.yaml", 1<<20)
	}
	if err != nil {
		return m, false, &diag.Error{Kind: diag.KindOf(err), Host: h.Name, Err: err,
			Hint: "a control plane without etcd's manifest is broken: reset the host, and run the same again with the cluster's keys (--pki)"}
	}
	m, err = kubeadm.ParseEtcdMember(manifest)
	if err != nil {
		return m, false, diag.From(err).On(h.Name)
	}
	return m, true, nil
}

// findPKI gives the cluster's keys for control planes that are bare: from an
// archive; or none, when the one that will begin the cluster has them already.
func (f *fleet) findPKI(ctx context.Context, bare []string, snapshot, archive string) ([]pkiFile, error) {
	const op = "find the cluster's keys"
	if archive == "" {
		if _, err := os.Stat(snapshot + PKISuffix); err == nil {
			archive = snapshot + PKISuffix
		}
	}
	if archive != "" {
		return readPKIArchive(archive)
	}
	if len(bare) == 0 {
		return nil, diag.New(diag.Invalid, op, "every control plane was left out")
	}
	if _, err := f.readPKIOf(ctx, bare[0]); err != nil {
		return nil, diag.New(diag.NotFound, op, "nothing of the cluster is left on %s, and the keys of its CAs are not in the snapshot", strings.Join(bare, ", ")).
			WithHint("name the archive that `kforge etcd snapshot --with-pki` wrote with --pki, or put %s back on %s by hand; without them workers and tokens cannot trust the cluster", pkiDir, bare[0])
	}
	return nil, nil
}

// readPKIArchive reads what writePKI wrote, and sees that each CA's key is its
// own.
func readPKIArchive(path string) ([]pkiFile, error) {
	op := "read " + path
	f, err := os.Open(path)
	if err != nil {
		return nil, diag.Wrap(diag.NotFound, op, err)
	}
	defer f.Close()
	found := map[string][]byte{}
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, diag.Wrap(diag.Digest, op, err)
		}
		if !slices.Contains(pkiNames, h.Name) || h.Size > 1<<20 {
			return nil, diag.New(diag.Invalid, op, "%q has no place in it", h.Name).WithHint("it must be what `kforge etcd snapshot --with-pki` wrote")
		}
		if found[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, diag.Wrap(diag.Digest, op, err)
		}
	}
	var out []pkiFile
	for _, name := range pkiNames {
		content, ok := found[name]
		if !ok {
			return nil, diag.New(diag.Digest, op, "%s is missing", name)
		}
		out = append(out, pkiFile{name, content})
		if ca, isKey := strings.CutSuffix(name, "ca.key"); isKey {
			if _, err := tls.X509KeyPair(found[ca+"ca.crt"], content); err != nil {
				return nil, diag.New(diag.Digest, op, "%s does not fit its certificate: %v", name, err)
			}
		}
	}
	return out, nil
}

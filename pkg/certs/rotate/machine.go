package rotate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
)

// Machine is the control plane that this runs on.
type Machine struct {
	Root string           // "/"; another one in tests
	Now  func() time.Time // nil is the machine's clock
}

const (
	kubeadmBinary = "/usr/local/bin/kubeadm"
	kubernetesDir = "/etc/kubernetes"
	manifestsDir  = kubernetesDir + "/manifests"
	// Annotation of a static pod that changes when it has to be made anew.
	annotation = "kforge.dev/certs"
)

func (m *Machine) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}
	return time.Now()
}

func (m *Machine) path(p string) string { return filepath.Join(m.Root, p) }

// file reads a file; one that is not there is an error of kind NotFound.
func (m *Machine) file(p string) ([]byte, error) {
	content, err := os.ReadFile(m.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, diag.New(diag.NotFound, "read "+p, "it is not there")
	}
	return content, err
}

// kept are the files that a rotation changes, with CAs, whose keys sign: a backup
// can stand for itself.
func (m *Machine) kept() ([]string, error) {
	out := []string{"admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"}
	out = slices.DeleteFunc(out, func(name string) bool {
		_, err := os.Stat(m.path(filepath.Join(kubernetesDir, name)))
		return err != nil
	})
	pki := m.path(kubernetesDir + "/pki")
	err := filepath.WalkDir(pki, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(m.path(kubernetesDir), p) // both are below the root
			out = append(out, rel)
		}
		return err
	})
	return out, err
}

// backup copies what a rotation may change to a folder of its own, for root
// only, and takes away the oldest of more than keep.
func (m *Machine) backup(dir string, keep int, now time.Time) (string, error) {
	files, err := m.kept()
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, now.UTC().Format("20060102T150405Z"))
	for _, name := range files {
		if err := copyFile(m.path(filepath.Join(kubernetesDir, name)), m.path(filepath.Join(to, name))); err != nil {
			return "", err
		}
	}
	entries, err := os.ReadDir(m.path(dir))
	if err != nil {
		return "", err
	}
	var ours []string // by time
	for _, e := range entries {
		if _, err := time.Parse("20060102T150405Z", e.Name()); err == nil && e.IsDir() {
			ours = append(ours, e.Name())
		}
	}
	for len(ours) > max(keep, 1) {
		if err := os.RemoveAll(m.path(filepath.Join(dir, ours[0]))); err != nil {
			return "", err
		}
		ours = ours[1:]
	}
	return to, nil
}

// copyFile copies a file with its mode, whole and on the disk, or not at all.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	content, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return writeFile(to, content, st.Mode().Perm())
}

// writeFile replaces a file by way of one beside it, hidden from the kubelet.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".kforge-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// renew has kubeadm make a certificate anew, with a new key.
func (m *Machine) renew(ctx context.Context, d Due, o Options) error {
	argv := []string{kubeadmBinary, "certs", "renew", d.Name, "--config", o.Config}
	if d.Anew || d.Broken {
		// kubeadm renews only what it can read, and with the names that are there:
		// what is of no use is made from the beginning.
		argv = []string{kubeadmBinary, "init", "phase", "certs", d.Name, "--config", o.Config}
		if name, isConf := strings.CutSuffix(d.Name, ".conf"); isConf {
			argv = []string{kubeadmBinary, "init", "phase", "kubeconfig", name, "--config", o.Config}
		}
		for _, f := range certs.Of(true) {
			if f.Name != d.Name {
				continue
			}
			for _, p := range []string{f.Path, strings.TrimSuffix(f.Path, ".crt") + ".key"} {
				if err := os.Remove(m.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv[1:], " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// check wants what was renewed to be as it should on the disk.
func (m *Machine) check(done []Due, o Options) error {
	o.Force, o.Only = false, nil
	o.Left = math.SmallestNonzeroFloat64 // how long they are to live is the site's affair
	for _, d := range done {
		o.Only = append(o.Only, d.Name)
	}
	if left := due(m.read(), m.now(), o); len(left) > 0 {
		return diag.New(diag.Cluster, "look at what was renewed", "%s: %s", left[0].Name, left[0].Why)
	}
	return nil
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// serves waits until an endpoint shows the certificate of its file.
func (m *Machine) serves(ctx context.Context, e certs.Endpoint, within time.Duration) error {
	i := slices.IndexFunc(certs.Of(true), func(f certs.File) bool { return f.Name == e.File })
	content, err := m.file(certs.Of(true)[i].Path)
	if err != nil {
		return err
	}
	want, err := certs.Parse(content)
	if err != nil {
		return err
	}
	return until(ctx, within, "wait for the new certificate of "+e.Name, func(ctx context.Context) error {
		got, err := certs.Served(ctx, dial, e.Address)
		if err == nil && !got.Equal(want[0]) {
			err = diag.New(diag.Cluster, "", "it serves %s, and the file holds %s", certs.Serial(got), certs.Serial(want[0]))
		}
		return err
	})
}

// restart has the kubelet make a static pod anew. Where the pod makes a
// certificate for its port itself, at, another one there tells that it did.
func (m *Machine) restart(ctx context.Context, name string, at *certs.Endpoint) error {
	var before *x509.Certificate
	if at != nil {
		before, _ = certs.Served(ctx, dial, at.Address) // one that is down shows none
	}
	if err := m.annotate(name); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	if at == nil {
		return nil
	}
	return until(ctx, restartWithin, "wait for "+name+" to start again", func(ctx context.Context) error {
		got, err := certs.Served(ctx, dial, at.Address)
		if err == nil && before != nil && got.Equal(before) {
			err = diag.New(diag.Cluster, "", "the old one still runs")
		}
		return err
	})
}

// annotate changes the manifest of a static pod, and nothing that it does.
func (m *Machine) annotate(name string) error {
	path := m.path(filepath.Join(manifestsDir, name+".yaml"))
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(m.now().UTC().Format(time.RFC3339Nano)))
	out, err := annotated(content, hex.EncodeToString(sum[:8]))
	if err != nil {
		return err
	}
	// Not in the folder that the kubelet watches: it looks at hidden files as well
	// while they are written.
	tmp := filepath.Join(m.path(kubernetesDir), ".kforge-"+name)
	if err := writeFile(tmp, out, st.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// annotated sets kforge's annotation in a manifest and leaves all else in its
// place.
func annotated(manifest []byte, value string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(manifest, &doc); err != nil || len(doc.Content) == 0 {
		return nil, fmt.Errorf("the manifest is no YAML: %w", err)
	}
	child := func(parent *yaml.Node, key string) *yaml.Node {
		for i := 0; i+1 < len(parent.Content); i += 2 {
			if parent.Content[i].Value == key {
				return parent.Content[i+1]
			}
		}
		n := &yaml.Node{Kind: yaml.MappingNode}
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, n)
		return n
	}
	n := child(child(child(doc.Content[0], "metadata"), "annotations"), annotation)
	*n = yaml.Node{Kind: yaml.ScalarNode, Value: value, Style: yaml.DoubleQuotedStyle}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// rollBack puts back what was there, and makes the pods anew that may have read
// what was not good.
func (m *Machine) rollBack(ctx context.Context, backup string, r *Result) error {
	for _, f := range certs.Of(true) {
		if !renewed(r, f.Name) {
			continue
		}
		paths := []string{f.Path}
		if crt, ok := strings.CutSuffix(f.Path, ".crt"); ok {
			paths = append(paths, crt+".key")
		}
		for _, p := range paths {
			rel, err := filepath.Rel(kubernetesDir, p)
			if err != nil {
				return err
			}
			if err := copyFile(m.path(filepath.Join(backup, rel)), m.path(p)); err != nil {
				return err
			}
		}
	}
	for _, name := range r.Restarted {
		if err := m.restart(ctx, name, nil); err != nil {
			return err
		}
	}
	return m.gate(ctx, restartWithin)
}

// gate wants the API server of this host to be ready, which includes its etcd, and
// all members of etcd to have a leader.
func (m *Machine) gate(ctx context.Context, within time.Duration) error {
	return until(ctx, within, "wait for API server and etcd", func(ctx context.Context) error {
		for _, at := range []struct{ url, ca, cert, key string }{
			{"https://127.0.0.1:6443/readyz", "/pki/ca.crt", "/pki/apiserver-kubelet-client.crt", "/pki/apiserver-kubelet-client.key"},
			{"https://127.0.0.1:2379/health", "/pki/etcd/ca.crt", "/pki/etcd/healthcheck-client.crt", "/pki/etcd/healthcheck-client.key"},
		} {
			if err := m.get(ctx, at.url, kubernetesDir+at.ca, kubernetesDir+at.cert, kubernetesDir+at.key); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *Machine) get(ctx context.Context, url, ca, cert, key string) error {
	client, err := m.client(ca, cert, key)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
		return fmt.Errorf("%s: %s: %s", url, resp.Status, bytes.TrimSpace(body))
	}
	return nil
}

// client trusts one CA and shows a certificate, which lies in a file with its key
// or beside it; a kubeconfig holds both.
func (m *Machine) client(ca, cert, key string) (*http.Client, error) {
	pool := x509.NewCertPool()
	content, err := m.file(ca)
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(content)
	if content, err = m.file(cert); err != nil {
		return nil, err
	}
	chain, err := certs.Parse(content)
	if err != nil {
		return nil, err
	}
	if content, err = m.file(key); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certs.Encode(chain[0]), certs.Key(content))
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}},
	}, nil
}

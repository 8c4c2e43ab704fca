//go:build e2e

package etcd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// realMember is an etcd process.
type realMember struct {
	name, client, peer string
	cmd                *exec.Cmd
}

// realCluster is etcd of several members, with TLS as kubeadm sets it up.
type realCluster struct {
	dir, bin string
	creds    Credentials
	members  []*realMember
}

func startCluster(t *testing.T, n int) *realCluster {
	t.Helper()
	dirs := os.Getenv("KFORGE_TEST_KUBE_BIN")
	if dirs == "" {
		t.Fatal("KFORGE_TEST_KUBE_BIN names no directories with etcd: make e2e does")
	}
	r := &realCluster{dir: t.TempDir()}
	for _, dir := range filepath.SplitList(dirs) {
		if _, err := os.Stat(filepath.Join(dir, "etcd")); err == nil {
			r.bin = dir
		}
	}
	if r.bin == "" {
		t.Fatalf("etcd is in none of %s", dirs)
	}
	r.pki(t)
	var initial []string
	for i := range n {
		m := &realMember{name: fmt.Sprintf("m%d", i+1), client: freeAddr(t), peer: freeAddr(t)}
		r.members = append(r.members, m)
		initial = append(initial, m.name+"=https://"+m.peer)
	}
	for _, m := range r.members {
		r.start(t, m, filepath.Join(r.dir, m.name), strings.Join(initial, ","))
	}
	return r
}

func (r *realCluster) path(name string) string { return filepath.Join(r.dir, name) }

func (r *realCluster) start(t *testing.T, m *realMember, data, initial string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), filepath.Join(r.bin, "etcd"), "--name", m.name, "--data-dir", data,
		"--listen-client-urls", "https://"+m.client, "--advertise-client-urls", "https://"+m.client,
		"--listen-peer-urls", "https://"+m.peer, "--initial-advertise-peer-urls", "https://"+m.peer,
		"--initial-cluster", initial, "--client-cert-auth", "--peer-client-cert-auth",
		"--trusted-ca-file", r.path("ca.crt"), "--cert-file", r.path("leaf.crt"), "--key-file", r.path("leaf.key"),
		"--peer-trusted-ca-file", r.path("ca.crt"), "--peer-cert-file", r.path("leaf.crt"), "--peer-key-file", r.path("leaf.key"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.cmd = cmd
	t.Cleanup(func() {
		m.stop(cmd)
		if t.Failed() {
			tail := out.String()
			t.Logf("%s said:\n%s", m.name, tail[max(0, len(tail)-1500):])
		}
	})
}

func (m *realMember) stop(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// pki makes a CA and one pair that servers and client share.
func (r *realCluster) pki(t *testing.T) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write := func(name, kind string, der []byte) []byte {
		out := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(r.path(name), out, 0o600); err != nil {
			t.Fatal(err)
		}
		return out
	}
	sign := func(of, by *x509.Certificate, pub *ecdsa.PublicKey, with *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, of, by, pub, with)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd-ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	r.creds = Credentials{
		CA:   write("ca.crt", "CERTIFICATE", sign(ca, ca, &caKey.PublicKey, caKey)),
		Cert: write("leaf.crt", "CERTIFICATE", sign(leaf, ca, &leafKey.PublicKey, caKey)),
		Key:  write("leaf.key", "EC PRIVATE KEY", der),
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until looks at the members until they stand as wanted.
func (*realCluster) until(t *testing.T, c *Cluster, want func(Standing) bool) []Member {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		members, err := c.Members(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want(Stand(members)) {
			return members
		}
		if time.Now().After(deadline) {
			t.Fatalf("the members never stood as wanted: %+v", members)
		}
	}
}

// tool runs one of etcd's own tools.
func (r *realCluster) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(r.bin, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (r *realCluster) ctl(t *testing.T, at *realMember, args ...string) string {
	t.Helper()
	return r.tool(t, "etcdctl", append([]string{"--endpoints", "https://" + at.client, "--cacert", r.path("ca.crt"), "--cert", r.path("leaf.crt"), "--key", r.path("leaf.key")}, args...)...)
}

// TestRealEtcd goes through a cluster's life: status, snapshot, restore check,
// defragmentation, the loss of a member and its removal.
func TestRealEtcd(t *testing.T) {
	t.Parallel()
	r := startCluster(t, 3)
	var dials atomic.Int32
	// The first two are known, the third is found; one of the two is down later.
	c, err := Connect(&r.creds, []string{"https://" + r.members[0].client, "https://" + r.members[1].client}, func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	members, err := c.WaitHealthy(ctx, 3, 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range members {
		if m.Name != fmt.Sprintf("m%d", i+1) || m.DBSize == 0 || m.DBInUse == 0 || !strings.HasPrefix(m.Version, "3.") || m.Index == 0 {
			t.Errorf("member is %+v", m)
		}
	}
	if dials.Load() == 0 {
		t.Error("the dialer was not used")
	}
	for i := range 30 {
		r.ctl(t, r.members[0], "put", fmt.Sprintf("/registry/configmaps/default/c%d", i), strings.Repeat("x", 50_000))
	}
	r.ctl(t, r.members[0], "put", "/registry/minions/n1", "node")
	r.ctl(t, r.members[0], "del", "/registry/configmaps/default/c29")

	// The snapshot is what etcd's own tool reads, and restores.
	path := r.path("snapshot.db")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	saved, err := c.Snapshot(ctx, f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA256 != saved.SHA256 || got.Size != saved.Size || got.Keys != 30 || len(got.Nodes) != 1 || got.Revision != 33 {
		t.Errorf("Verify = %+v, of %+v", got, saved)
	}
	theirs := r.tool(t, "etcdutl", "snapshot", "status", path, "-w", "fields")
	for _, want := range []string{`"Revision" : 33`, `"Keys" : 30`} {
		if !strings.Contains(theirs, want) {
			t.Errorf("etcdutl says\n%swant %s", theirs, want)
		}
	}

	// What was deleted is given back, by one after the other, the leader last.
	r.ctl(t, r.members[0], "del", "--prefix", "/registry/configmaps")
	r.ctl(t, r.members[0], "compaction", "34", "--physical")
	// The tool waits for the member that it asked. The others compact on their own,
	// and count what they freed when something more is written.
	deadline := time.Now().Add(time.Minute)
	for full := true; full; time.Sleep(50 * time.Millisecond) {
		r.ctl(t, r.members[0], "put", "/registry/more", "x")
		members, err := c.Members(ctx)
		if err != nil {
			t.Fatal(err)
		}
		full = slices.ContainsFunc(members, func(m Member) bool { return m.DBInUse > 1<<20 })
		if full && time.Now().After(deadline) {
			t.Fatalf("members have not compacted: %+v", members)
		}
	}
	if plan, err := c.Plan(ctx, spec.EtcdWork{Defragment: true}); err != nil || len(plan) != 3 || !strings.Contains(plan[2].Detail, "MiB on the disk") {
		t.Errorf("Plan to defragment = %+v, %v", plan, err)
	}
	turn := map[string]int{}
	if err := c.Defragment(ctx, func(d Defragmented) {
		turn[d.Member] = len(turn)
		if d.After >= d.Before || d.Leader && len(turn) < 3 {
			t.Errorf("turn %d: defragmented %+v", len(turn), d)
		}
	}); err != nil || len(turn) != 3 {
		t.Fatalf("Defragment: %v, %v", turn, err)
	}

	if plan, err := c.Plan(ctx, spec.EtcdWork{Defragment: true}); err != nil || len(plan) > 0 {
		t.Errorf("Plan after Defragment = %+v, %v", plan, err)
	}

	// The lead is handed over at once, and only by the one that has it.
	if members, err = c.WaitHealthy(ctx, 3, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	leads := leaderLast(members)[2].Name
	hand := spec.EtcdWork{HandOver: leads}
	planned, err := c.Plan(ctx, hand)
	if err != nil || len(planned) != 1 || planned[0].Resource != "etcd member "+leads {
		t.Fatalf("Plan to hand over = %+v, %v", planned, err)
	}
	handed, err := c.Apply(ctx, hand)
	if diff := cmp.Diff(planned, handed); err != nil || diff != "" {
		t.Fatalf("handing over: %v\n%s", err, diff)
	}
	if members, err = c.Members(ctx); err != nil || leaderLast(members)[2].Name == leads || !leaderLast(members)[2].Leader {
		t.Errorf("after handing over members are %+v, %v", members, err)
	}
	if handed, err = c.Apply(ctx, hand); err != nil || len(handed) != 0 {
		t.Errorf("handing over again: %+v, %v", handed, err)
	}

	// One is lost: it cannot be waited for, the others must stay, and it can go.
	lost := r.members[1]
	lost.stop(lost.cmd)
	if _, err := c.WaitHealthy(ctx, 3, 2*time.Second); diag.KindOf(err) != diag.Timeout || !strings.Contains(err.Error(), "m2: ") {
		t.Errorf("WaitHealthy: %v", err)
	}
	r.until(t, c, func(s Standing) bool { return s.Healthy == 2 }) // there may be an election first
	if _, err := c.Remove(ctx, "m3"); diag.KindOf(err) != diag.Cluster || !strings.Contains(err.Error(), "quorum would be lost") {
		t.Errorf("Remove(m3): %v", err)
	}
	// Several that leave one after the other are planned each from when the ones before have left.
	if plan, err := c.Plan(ctx, spec.EtcdWork{Remove: []string{"m3"}, After: []string{"m2"}}); err != nil || len(plan) != 1 {
		t.Errorf("Plan(m3 after m2) = %+v, %v", plan, err)
	}
	if plan, err := c.Plan(ctx, spec.EtcdWork{Remove: []string{"m1"}, After: []string{"m3"}}); diag.KindOf(err) != diag.Cluster {
		t.Errorf("Plan(m1 after m3) = %+v, %v", plan, err)
	}
	work := spec.EtcdWork{Remove: []string{"m2", "m9"}, Healthy: &spec.EtcdHealthy{Voters: 2, TimeoutSeconds: 20}}
	plan, err := c.Plan(ctx, work)
	if err != nil || len(plan) != 1 || plan[0].Resource != "etcd member m2" || !strings.Contains(plan[0].Detail, "2 of 2 voting members are healthy") {
		t.Fatalf("Plan = %+v, %v", plan, err)
	}
	made, err := c.Apply(ctx, work)
	if diff := cmp.Diff(plan, made); err != nil || diff != "" {
		t.Fatalf("Apply: %v\n%s", err, diff)
	}
	if plan, err = c.Plan(ctx, work); err != nil || len(plan) != 0 {
		t.Errorf("Plan again = %+v, %v", plan, err)
	}
	if made, err = c.Apply(ctx, work); err != nil || len(made) != 0 {
		t.Errorf("Apply again = %+v, %v", made, err)
	}

	// The leader goes too: it hands over first.
	members, err = c.Members(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Remove(ctx, leaderLast(members)[1].Name); err != nil {
		t.Fatal(err)
	}
}

// TestRealNoQuorum sees a cluster of which most is lost.
func TestRealNoQuorum(t *testing.T) {
	t.Parallel()
	r := startCluster(t, 3)
	c, err := Connect(&r.creds, []string{"https://" + r.members[0].client}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.WaitHealthy(t.Context(), 3, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.members[1:] {
		m.stop(m.cmd)
	}
	members := r.until(t, c, func(s Standing) bool { return s.Healthy == 0 }) // the one that is left misses the others
	if s := Stand(members); s.Holds() || members[0].Problem == "" || members[1].Problem == "" {
		t.Errorf("%v: %+v", s, members)
	}
	if _, err := c.Remove(t.Context(), "m2"); diag.KindOf(err) != diag.Cluster || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("Remove: %v", err)
	}
	r.members[0].stop(r.members[0].cmd)
	if _, err := c.Members(t.Context()); diag.KindOf(err) != diag.Cluster || !strings.Contains(err.Error(), "no member answers") {
		t.Errorf("Members of none: %v", err)
	}
}

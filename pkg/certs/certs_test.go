package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
)

var now = time.Date(2027, 11, 25, 12, 0, 0, 0, time.UTC)

// issuer makes certificates; its own is a CA.
type issuer struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newCA(t *testing.T, name string, end time.Time) *issuer {
	t.Helper()
	i := &issuer{key: newKey(t)}
	i.cert = i.sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: end, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, i.key)
	return i
}

// sign fills in what a test does not care about.
func (i *issuer) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	if template.NotBefore.IsZero() {
		template.NotBefore = now.AddDate(-1, 0, 0)
	}
	parent := i.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (i *issuer) until(t *testing.T, end time.Time) *x509.Certificate {
	t.Helper()
	return i.sign(t, &x509.Certificate{NotAfter: end}, newKey(t))
}

func encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func TestParse(t *testing.T) {
	t.Parallel()
	want := now.AddDate(1, 0, 0)
	ca := newCA(t, "ca", now.AddDate(9, 0, 0))
	cert := string(encode(ca.until(t, want)))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("secret")}))
	conf := "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user:\n    client-certificate-data: " + base64.StdEncoding.EncodeToString([]byte(cert)) + "\n"
	byFile := "users: [{name: a, user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem}}]"
	for name, content := range map[string]string{
		"certificate": cert, "kubelet's file": cert + private, "key first": private + cert, "kubeconfig": conf, "with its CA": cert + string(encode(ca.cert)),
	} {
		if got, err := End([]byte(content)); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got := Embedded([]byte(content)); got != (name == "kubeconfig") {
			t.Errorf("%s: embedded %v", name, got)
		}
	}
	for name, tc := range map[string]struct {
		content string
		kind    diag.Kind
	}{
		"nothing":              {"", diag.NotFound},
		"only a key":           {private, diag.NotFound},
		"token":                {"users: [{name: a, user: {token: x}}]", diag.NotFound},
		"kubeconfig by a file": {byFile, diag.NotFound},
		"not yaml":             {"users: [", diag.Invalid},
		"a cut block":          {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", diag.Invalid},
	} {
		if got, err := Parse([]byte(tc.content)); diag.KindOf(err) != tc.kind {
			t.Errorf("%s: %v, %v, want kind %s", name, got, err, tc.kind)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret", name)
		}
		if Embedded([]byte(tc.content)) {
			t.Errorf("%s: it is embedded", name)
		}
	}
}

func TestFilesOfNodes(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, f := range Of(true) {
		names[f.Name] = f.CA
	}
	for _, f := range Of(true) {
		if ca, known := names[f.Signer]; f.CA != (f.Signer == "") || !f.CA && (!known || !ca) {
			t.Errorf("%s is signed by %q", f.Name, f.Signer)
		}
	}
	for _, e := range Endpoints(true) {
		if ca, known := names[e.File]; e.File != "" && (!known || ca) {
			t.Errorf("%s serves %q", e.Name, e.File)
		}
	}
	if w, c := len(Of(false)), len(Of(true)); w != 1 || c != 14 {
		t.Errorf("%d files of a worker, %d of a control plane", w, c)
	}
	if w, c := len(Endpoints(false)), len(Endpoints(true)); w != 1 || c != 5 {
		t.Errorf("%d endpoints of a worker, %d of a control plane", w, c)
	}
}

// A server shows its certificate whatever it thinks of the client.
func TestServed(t *testing.T) {
	t.Parallel()
	ca, key := newCA(t, "ca", now.AddDate(9, 0, 0)), newKey(t)
	cert := ca.sign(t, &x509.Certificate{NotAfter: now.AddDate(1, 0, 0)}, key)
	for name, tc := range map[string]struct {
		version uint16
		auth    tls.ClientAuthType
	}{
		"any client, TLS 1.3": {tls.VersionTLS13, tls.NoClientCert}, "known clients, TLS 1.3": {tls.VersionTLS13, tls.RequireAndVerifyClientCert},
		"any client, TLS 1.2": {tls.VersionTLS12, tls.NoClientCert}, "known clients, TLS 1.2": {tls.VersionTLS12, tls.RequireAndVerifyClientCert},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tc.auth, MinVersion: tc.version, MaxVersion: tc.version,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					conn.(*tls.Conn).Handshake()
					conn.Close()
				}
			}()
			got, err := Served(t.Context(), (&net.Dialer{}).DialContext, l.Addr().String())
			if err != nil || !got.Equal(cert) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	_, err := Served(t.Context(), func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("refused") }, "127.0.0.1:1")
	if diag.KindOf(err) != diag.Unreachable {
		t.Errorf("nobody is there: %v", err)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	year := now.AddDate(1, 0, 0)
	ca, other := newCA(t, "ca", now.AddDate(9, 0, 0)), newCA(t, "ca", now.AddDate(9, 0, 0))
	file := func(name string) File {
		for _, f := range Of(true) {
			if f.Name == name {
				return f
			}
		}
		t.Fatal(name)
		return File{}
	}
	api := ca.sign(t, &x509.Certificate{NotAfter: year, DNSNames: []string{"n1", "*.example.com"}, IPAddresses: []net.IP{net.IPv4(10, 0, 0, 11)}}, newKey(t))
	plane := func(change func(*Node)) []Node {
		n := Node{
			Name:  "n1",
			Held:  []Held{{File: file("ca"), Certificate: ca.cert}, {File: file("apiserver"), Certificate: api}, {File: Kubelet, Certificate: ca.until(t, year)}},
			Shown: []Shown{{Endpoint: Endpoints(true)[0], Certificate: api}, {Endpoint: Endpoints(false)[0], Certificate: other.until(t, year)}},
			SANs:  []string{"n1", "10.0.0.11", "*.example.com"},
		}
		change(&n)
		return []Node{n}
	}
	for name, tc := range map[string]struct {
		nodes []Node
		want  []string
	}{
		"all is well": {plane(func(*Node) {}), nil},
		"ended":       {plane(func(n *Node) { n.Held[2].Certificate = ca.until(t, now.Add(-50*time.Hour)) }), []string{"wrong n1: certificate kubelet ended 2 days ago, on 2027-11-23 10:00:00"}},
		"ends soon":   {plane(func(n *Node) { n.Held[2].Certificate = ca.until(t, now.Add(5*time.Hour)) }), []string{"soon n1: certificate kubelet ends in 5 hours, on 2027-11-25 17:00:00"}},
		"of a wrong clock": {plane(func(n *Node) {
			n.Held[2].Certificate = ca.sign(t, &x509.Certificate{NotBefore: now.Add(time.Hour), NotAfter: year}, newKey(t))
		}), []string{"wrong n1: certificate kubelet is valid only from 2027-11-25 13:00:00 on"}},
		"of another CA":      {plane(func(n *Node) { n.Held[2].Certificate = other.until(t, year) }), []string{"wrong n1: certificate kubelet is not signed by the ca of this cluster"}},
		"outlives its CA":    {plane(func(n *Node) { n.Held[2].Certificate = ca.until(t, now.AddDate(10, 0, 0)) }), []string{"wrong n1: certificate kubelet ends after its CA, which ends on 2036-11-25 12:00:00"}},
		"a part is not used": {plane(func(n *Node) { n.Held[2] = Held{File: Kubelet, Err: diag.New(diag.NotFound, "", "none")} }), nil},
		"cannot be read":     {plane(func(n *Node) { n.Held[2] = Held{File: Kubelet, Err: diag.New(diag.Invalid, "", "cut")} }), []string{"note n1: certificate kubelet cannot be read: cut"}},
		"name is missing":    {plane(func(n *Node) { n.SANs = append(n.SANs, "n2", "10.0.0.12", "a.example.com") }), []string{"wrong n1: certificate apiserver is not for n2, 10.0.0.12, a.example.com, which the inventory names"}},
		"served is older": {plane(func(n *Node) { n.Shown[0].Certificate = ca.cert }), []string{
			"wrong n1: kube-apiserver serves the certificate " + Serial(ca.cert) + ", and the file /etc/kubernetes/pki/apiserver.crt holds " + Serial(api)}},
		"server is silent":    {plane(func(n *Node) { n.Shown[0] = Shown{Endpoint: Endpoints(true)[0], Err: fmt.Errorf("refused")} }), []string{"wrong n1: kube-apiserver at 127.0.0.1:6443 shows no certificate: refused"}},
		"own one ends":        {plane(func(n *Node) { n.Shown[1].Certificate = other.until(t, now.Add(-time.Minute)) }), []string{"wrong n1: kubelet's own certificate ended 60 seconds ago, on 2027-11-25 11:59:00"}},
		"inside kubelet.conf": {plane(func(n *Node) { n.Embedded = true }), []string{"wrong n1: the kubelet's certificate is inside /etc/kubernetes/kubelet.conf, where the kubelet does not renew it"}},
		"CAs differ": {append(plane(func(*Node) {}), Node{Name: "n2", Held: []Held{{File: file("ca"), Certificate: other.cert}}}), []string{
			"wrong n2: certificate ca is another one than that of n1"}},
		"worker of another cluster": {append(plane(func(*Node) {}), Node{Name: "w1", Held: []Held{{File: Kubelet, Certificate: other.until(t, year)}}}), []string{
			"wrong w1: certificate kubelet is not signed by the ca of this cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range Judge(tc.nodes, now, 30*24*time.Hour) {
				got = append(got, fmt.Sprintf("%s %s: %s", f.Severity, f.Host, f.Text))
				if f.Hint == "" && f.Severity != Note {
					t.Errorf("%s: what is to be done?", f.Text)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Second: "1 second", 119 * time.Second: "119 seconds", 2 * time.Minute: "2 minutes", 47 * time.Hour: "47 hours", 365 * 24 * time.Hour: "365 days",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

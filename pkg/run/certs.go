package run

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kubeadm"
	"kforge.dev/kforge/pkg/node"
)

// CertsView is a look at the certificates of a cluster.
type CertsView struct {
	Cluster      string          `json:"cluster"`
	Time         time.Time       `json:"time"`
	Verdict      certs.Severity  `json:"verdict"` // that of the worst finding
	Findings     []certs.Finding `json:"findings"`
	Certificates []CertView      `json:"certificates"`
}

// CertView is one certificate of a file, or of a server where Address is set.
type CertView struct {
	Host    string      `json:"host,omitempty"` // "" is this machine
	Name    string      `json:"name"`
	Path    string      `json:"path,omitempty"`
	Address string      `json:"address,omitempty"` // as the host dials it
	CA      bool        `json:"ca,omitempty"`
	Subject string      `json:"subject,omitempty"`
	Issuer  string      `json:"issuer,omitempty"`
	Serial  string      `json:"serial,omitempty"` // hexadecimal
	SANs    []string    `json:"sans,omitempty"`
	Key     string      `json:"key,omitempty"` // "RSA", "ECDSA", "Ed25519"
	From    time.Time   `json:"notBefore,omitzero"`
	End     time.Time   `json:"notAfter,omitzero"`
	Error   *diag.Error `json:"error,omitempty"`
}

// Certificates looks at every certificate of a cluster and changes nothing: in the
// files of all hosts, at what their servers show, and in the kubeconfig that apply
// has written beside the inventory. Certificates that end within soon are told of.
// It needs no API.
func Certificates(ctx context.Context, e *Env, o Options, soon time.Duration) (*CertsView, error) {
	s, err := lookAtAll(e, o, "certs status")
	if err != nil {
		return nil, err
	}
	defer s.fleet.close()
	v := &CertsView{Cluster: s.cluster.Name, Time: s.started.UTC(), Findings: []certs.Finding{}, Certificates: []CertView{}}
	var nodes []certs.Node
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		if err := s.fleet.connect(ctx); err != nil {
			return err
		}
		nodes = s.everyCertificate(ctx)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	if own, ok := handedOut(s.options.Inventory); ok {
		nodes = append(nodes, own)
	}
	for _, n := range nodes {
		v.add(n)
	}
	v.Findings = append(v.Findings, certs.Judge(nodes, v.Time, soon)...)
	if len(v.Certificates) == 0 {
		v.Findings = append(v.Findings, certs.Finding{Severity: certs.Note, Text: "no host that was reached is a node", Hint: "kforge apply " + o.Inventory})
	}
	v.judge(s.fleet.unreachable)
	return v, nil
}

// everyCertificate reads those of all nodes that were reached, in the inventory's
// order.
func (s *session) everyCertificate(ctx context.Context) []certs.Node {
	byHost := make([]certs.Node, len(s.cluster.Hosts))
	s.eachNode(ctx, func(ctx context.Context, i int, h inventory.ResolvedHost, f *facts.Host) {
		byHost[i] = s.certificatesOf(ctx, h, f)
	})
	return slices.DeleteFunc(byHost, func(n certs.Node) bool { return n.Name == "" })
}

func (s *session) readFile(ctx context.Context, host, path string) ([]byte, error) {
	h, err := s.fleet.host(ctx, host)
	if err != nil {
		return nil, err
	}
	return h.Read(ctx, path, 1<<20)
}

// held reads a file of a host for its certificate.
func (s *session) held(ctx context.Context, host string, file certs.File) certs.Held {
	content, err := s.readFile(ctx, host, file.Path)
	return heldIn(file, content, err)
}

// heldIn is what a file's content holds, where it could be read.
func heldIn(file certs.File, content []byte, err error) certs.Held {
	held := certs.Held{File: file, Err: err}
	if err == nil {
		var chain []*x509.Certificate
		if chain, held.Err = certs.Parse(content); held.Err == nil {
			held.Certificate = chain[0]
		}
	}
	return held
}

func (s *session) certificatesOf(ctx context.Context, h inventory.ResolvedHost, f *facts.Host) certs.Node {
	n := certs.Node{Name: h.Name}
	plane := f.Kubernetes.AdminConf
	for _, file := range certs.Of(plane) {
		n.Held = append(n.Held, s.held(ctx, h.Name, file))
	}
	if content, err := s.readFile(ctx, h.Name, certs.KubeletConf); err == nil {
		n.Embedded = certs.Embedded(content)
	}
	for _, at := range certs.Endpoints(plane) {
		shown := certs.Shown{Endpoint: at}
		on, err := s.fleet.host(ctx, h.Name)
		if err == nil {
			shown.Certificate, err = certs.Served(ctx, on.DialContext, at.Address)
		}
		shown.Err = err
		n.Shown = append(n.Shown, shown)
	}
	if plane {
		ip := node.FindAddress(h, f).IP
		n.SANs = kubeadm.Input{Cluster: s.cluster, Host: h, Facts: f, NodeIP: ip, APIServer: kubeadm.APIServer(s.cluster, ip)}.CertSANs()
	}
	return n
}

// handedOut is the kubeconfig that apply writes beside an inventory.
func handedOut(inventoryPath string) (certs.Node, bool) {
	path := strings.TrimSuffix(inventoryPath, filepath.Ext(inventoryPath)) + ".kubeconfig"
	content, err := os.ReadFile(path)
	if err != nil {
		return certs.Node{}, false // there need not be one
	}
	file := certs.File{Name: filepath.Base(path), Path: path, Signer: "ca"}
	return certs.Node{Held: []certs.Held{heldIn(file, content, nil)}}, true
}

func (v *CertsView) add(n certs.Node) {
	one := func(c CertView, x *x509.Certificate, err error) {
		c.Host = n.Name
		if x == nil {
			c.Error = diag.From(err)
		} else {
			c.Subject, c.Issuer, c.Serial, c.SANs = x.Subject.String(), x.Issuer.String(), certs.Serial(x), slices.Clone(x.DNSNames)
			for _, ip := range x.IPAddresses {
				c.SANs = append(c.SANs, ip.String())
			}
			c.Key, c.From, c.End = x.PublicKeyAlgorithm.String(), x.NotBefore.UTC(), x.NotAfter.UTC()
		}
		v.Certificates = append(v.Certificates, c)
	}
	for _, h := range n.Held {
		if h.Certificate != nil || diag.KindOf(h.Err) != diag.NotFound {
			one(CertView{Name: h.Name, Path: h.Path, CA: h.CA}, h.Certificate, h.Err)
		}
	}
	for _, s := range n.Shown {
		one(CertView{Name: s.Name, Address: s.Address}, s.Certificate, s.Err)
	}
}

// judge draws the verdict: what is wrong counts first, then hosts that could not be
// looked at, then what ends soon.
func (v *CertsView) judge(unreachable map[string]error) {
	has := func(severity certs.Severity) bool {
		return slices.ContainsFunc(v.Findings, func(f certs.Finding) bool { return f.Severity == severity })
	}
	for _, name := range slices.Sorted(maps.Keys(unreachable)) {
		v.Findings = append(v.Findings, certs.Finding{Severity: certs.Note, Host: name, Text: unreachable[name].Error(), Hint: diag.Hint(unreachable[name])})
	}
	switch {
	case has(certs.Wrong):
		v.Verdict = certs.Wrong
	case has(certs.Note):
		v.Verdict = certs.Note
	case has(certs.Soon):
		v.Verdict = certs.Soon
	default:
		v.Verdict = certs.Well
	}
}

// Metrics gives the view in Prometheus' text format, for the textfile collector of
// node_exporter.
func (v *CertsView) Metrics() string {
	var b strings.Builder
	gauge := func(name, help string, value func(CertView) (string, bool)) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
		for _, c := range v.Certificates {
			if x, ok := value(c); ok {
				fmt.Fprintf(&b, "%s{cluster=%q,host=%q,name=%q,path=%q,address=%q} %s\n", name, v.Cluster, c.Host, c.Name, c.Path, c.Address, x)
			}
		}
	}
	gauge("kforge_certificate_not_after_seconds", "End of the certificate, in seconds since 1970.", func(c CertView) (string, bool) {
		return fmt.Sprint(c.End.Unix()), c.Error == nil
	})
	gauge("kforge_certificate_unreadable", "1 where the certificate could not be read.", func(c CertView) (string, bool) {
		return "1", c.Error != nil
	})
	wrong := 0
	for _, f := range v.Findings {
		if f.Severity == certs.Wrong {
			wrong++
		}
	}
	fmt.Fprintf(&b, "# HELP kforge_certificate_problems Certificates that are wrong, see kforge certs status.\n# TYPE kforge_certificate_problems gauge\nkforge_certificate_problems{cluster=%q} %d\n", v.Cluster, wrong)
	fmt.Fprintf(&b, "# HELP kforge_certificate_look_seconds When it was looked, in seconds since 1970.\n# TYPE kforge_certificate_look_seconds gauge\nkforge_certificate_look_seconds{cluster=%q} %d\n", v.Cluster, v.Time.Unix())
	return b.String()
}

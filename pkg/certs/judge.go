package certs

import (
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// Held is what a file of a host holds.
type Held struct {
	File
	Certificate *x509.Certificate // nil with Err
	Err         error
}

// Shown is what an endpoint of a host serves.
type Shown struct {
	Endpoint
	Certificate *x509.Certificate // nil with Err
	Err         error
}

// Node is all that was read of one host.
type Node struct {
	Name  string
	Held  []Held
	Shown []Shown
	// Names and addresses that the API server's certificate has to be for; none on
	// a worker.
	SANs []string
	// Embedded tells that the kubelet goes by a certificate inside its kubeconfig,
	// which it does not renew.
	Embedded bool
}

// Severity of a finding.
type Severity string

const (
	Well  Severity = "well"  // of a whole cluster: there are no findings
	Wrong Severity = "wrong" // something does not work, or will not
	Soon  Severity = "soon"  // a certificate ends within the time asked for
	Note  Severity = "note"  // it could not be looked at
)

// Finding is something that a person has to know of certificates.
type Finding struct {
	Severity Severity `json:"severity"`
	Host     string   `json:"host"`
	Text     string   `json:"text"`
	Hint     string   `json:"hint,omitempty"`
}

// Judge looks for certificates that have ended, end within soon, end after their
// CA or are not signed by it; for servers that serve another one than their file
// holds; for names that the API server's is not for; for CAs that differ between
// hosts. Findings come in the order of the nodes.
func Judge(nodes []Node, now time.Time, soon time.Duration) []Finding {
	j := &judge{now: now, soon: soon, cas: map[string]authority{}}
	for _, n := range nodes {
		for _, h := range n.Held {
			if _, known := j.cas[h.Name]; h.CA && h.Certificate != nil && !known {
				j.cas[h.Name] = authority{n.Name, h.Certificate}
			}
		}
	}
	for _, n := range nodes {
		j.host = n.Name
		j.files(n)
		j.served(n)
		j.names(n)
		if n.Embedded {
			j.find(Wrong, "kforge node repair "+n.Name, "the kubelet's certificate is inside %s, where the kubelet does not renew it", KubeletConf)
		}
	}
	return j.out
}

type judge struct {
	now  time.Time
	soon time.Duration
	host string
	cas  map[string]authority // by name, as the first node has them
	out  []Finding
}

type authority struct {
	host        string
	certificate *x509.Certificate
}

func (j *judge) find(s Severity, hint, format string, args ...any) {
	j.out = append(j.out, Finding{Severity: s, Host: j.host, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (j *judge) files(n Node) {
	for _, h := range n.Held {
		what := "certificate " + h.Name
		c := h.Certificate
		if c == nil {
			if diag.KindOf(h.Err) != diag.NotFound { // a part that this cluster does without
				j.find(Note, diag.Hint(h.Err), "%s cannot be read: %v", what, h.Err)
			}
			continue
		}
		j.validity(what, c, Renewal(h.File))
		if h.CA {
			if first := j.cas[h.Name]; !first.certificate.Equal(c) {
				j.find(Wrong, "copy the files of the right one, then restart what uses them", "%s is another one than that of %s", what, first.host)
			}
			continue
		}
		j.signed(what, c, h.Signer)
	}
}

// Renewal says how a certificate is renewed.
func Renewal(f File) string {
	switch {
	case f.Name == Kubelet.Name:
		return "the kubelet renews it by itself: look there at journalctl -u kubelet; kforge node repair makes a new one"
	case strings.HasSuffix(f.Name, ".kubeconfig"):
		return "kforge apply writes it anew when the cluster's admin.conf is renewed"
	case f.CA:
		return "a CA has to be replaced on all nodes: see Kubernetes' own guide on rotating CA certificates"
	}
	return "renew it there: kubeadm certs renew all, then restart the control plane's pods"
}

func (j *judge) validity(what string, c *x509.Certificate, hint string) {
	switch left := c.NotAfter.Sub(j.now); {
	case left < 0:
		j.find(Wrong, hint, "%s ended %s ago, on %s", what, Span(-left), c.NotAfter.UTC().Format(time.DateTime))
	case left < j.soon:
		j.find(Soon, hint, "%s ends in %s, on %s", what, Span(left), c.NotAfter.UTC().Format(time.DateTime))
	case c.NotBefore.After(j.now):
		j.find(Wrong, "look at the clocks: kforge check", "%s is valid only from %s on", what, c.NotBefore.UTC().Format(time.DateTime))
	}
}

// signed holds a certificate against its CA: that of the first node, since workers
// do not have the CA where this looks.
func (j *judge) signed(what string, c *x509.Certificate, signer string) {
	ca, ok := j.cas[signer]
	switch {
	case !ok:
	case c.CheckSignatureFrom(ca.certificate) != nil:
		j.find(Wrong, "renew it: it is of another CA, or was made by hand", "%s is not signed by the %s of this cluster", what, signer)
	case c.NotAfter.After(ca.certificate.NotAfter):
		j.find(Wrong, "replace the CA before it ends", "%s ends after its CA, which ends on %s", what, ca.certificate.NotAfter.UTC().Format(time.DateTime))
	}
}

// served holds what servers show against what their files hold.
func (j *judge) served(n Node) {
	for _, s := range n.Shown {
		c := s.Certificate
		if c == nil {
			j.find(Wrong, "look there: crictl ps -a; journalctl -u kubelet", "%s at %s shows no certificate: %v", s.Name, s.Address, s.Err)
			continue
		}
		if s.File == "" {
			j.validity(s.Name+"'s own certificate", c, "it makes a new one when it is restarted")
			continue
		}
		i := slices.IndexFunc(n.Held, func(h Held) bool { return h.Name == s.File })
		if i < 0 || n.Held[i].Certificate == nil || n.Held[i].Certificate.Equal(c) {
			continue
		}
		j.find(Wrong, "it reads a new file within a minute; if not, restart it: move its manifest out of /etc/kubernetes/manifests and back",
			"%s serves the certificate %s, and the file %s holds %s", s.Name, Serial(c), n.Held[i].Path, Serial(n.Held[i].Certificate))
	}
}

// names looks for those that the API server's certificate is not for.
func (j *judge) names(n Node) {
	i := slices.IndexFunc(n.Held, func(h Held) bool { return h.Name == "apiserver" && h.Certificate != nil })
	if i < 0 {
		return
	}
	var missing []string
	for _, name := range n.SANs {
		if !Covers(n.Held[i].Certificate, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		j.find(Wrong, "make it anew there: move apiserver.crt and apiserver.key out of /etc/kubernetes/pki, then kubeadm init phase certs apiserver",
			"certificate apiserver is not for %s, which the inventory names", strings.Join(missing, ", "))
	}
}

// Covers tells whether a certificate has a name or an address, as it is: kubeadm
// writes a wildcard as one too.
func Covers(c *x509.Certificate, san string) bool {
	if ip := net.ParseIP(san); ip != nil {
		return slices.ContainsFunc(c.IPAddresses, ip.Equal)
	}
	return slices.ContainsFunc(c.DNSNames, func(name string) bool { return strings.EqualFold(name, san) })
}

// Serial gives the number of a certificate in hexadecimal.
func Serial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber) }

// Span tells a time as people do: "212 days", "5 hours", "3 minutes".
func Span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := int(d / unit.of); n >= 2 || n == 1 && unit.of == time.Second {
			s := "s"
			if n == 1 {
				s = ""
			}
			return fmt.Sprintf("%d %s%s", n, unit.name, s)
		}
	}
	return "less than a second"
}

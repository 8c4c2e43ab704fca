package rotate

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/certs"
	"kforge.dev/kforge/pkg/diag"
)

// Due is a certificate that is to be renewed.
type Due struct {
	Name string `json:"name"` // as kubeadm calls it
	Why  string `json:"why"`
	// Broken tells that it is of no use any more: it has ended, or does not fit
	// its key.
	Broken bool `json:"broken,omitempty"`
	// Anew tells that its names change, which kubeadm's renewal would not do.
	Anew bool `json:"anew,omitempty"`
}

// pair is a certificate file with its key, as it lies on the disk.
type pair struct {
	certs.File
	cert    *x509.Certificate
	err     error
	fits    bool // the key belongs to the certificate
	missing bool // this control plane does without
}

// due tells which of the files are to be renewed. CAs never are, and the
// kubelet's is the kubelet's.
func due(held []pair, now time.Time, o Options) []Due {
	left := o.Left
	if left == 0 {
		left = 1.0 / 3
	}
	cas := map[string]*x509.Certificate{}
	for _, p := range held {
		if p.CA && p.cert != nil {
			cas[p.Name] = p.cert
		}
	}
	var out []Due
	for _, p := range held {
		if p.CA || p.missing || p.Name == certs.Kubelet.Name || len(o.Only) > 0 && !slices.Contains(o.Only, p.Name) {
			continue
		}
		d := Due{Name: p.Name}
		switch {
		case p.err != nil:
			d.Why, d.Broken = fmt.Sprintf("it cannot be read: %v", p.err), true
		case !p.fits:
			d.Why, d.Broken = "it does not fit its key", true
		case now.After(p.cert.NotAfter):
			d.Why, d.Broken = "it ended on "+p.cert.NotAfter.UTC().Format(time.DateTime), true
		case cas[p.Signer] != nil && p.cert.CheckSignatureFrom(cas[p.Signer]) != nil:
			d.Why = "it is not signed by the " + p.Signer + " of this host"
		case p.Name == "apiserver" && len(missing(p.cert, o.SANs)) > 0:
			d.Why, d.Anew = "it is not for "+strings.Join(missing(p.cert, o.SANs), ", "), true
		case float64(p.cert.NotAfter.Sub(now)) < left*float64(p.cert.NotAfter.Sub(p.cert.NotBefore)):
			d.Why = "it ends in " + certs.Span(p.cert.NotAfter.Sub(now))
		case o.Force:
			d.Why = "all are to be renewed"
		default:
			continue
		}
		out = append(out, d)
	}
	return out
}

func missing(c *x509.Certificate, sans []string) (out []string) {
	for _, s := range sans {
		if !certs.Covers(c, s) {
			out = append(out, s)
		}
	}
	return out
}

// fits tells whether a key belongs to a certificate. Both may lie in one file.
func fits(c *x509.Certificate, content []byte) bool {
	key := certs.Key(content)
	if key == nil {
		return false
	}
	p, err := tls.X509KeyPair(certs.Encode(c), key)
	if err != nil {
		return false
	}
	signer, ok := p.PrivateKey.(crypto.Signer)
	return ok && signer.Public() != nil
}

// read reads all certificates of a control plane with their keys.
func (m *Machine) read() []pair {
	var out []pair
	for _, f := range certs.Of(true) {
		p := pair{File: f}
		content, err := m.file(f.Path)
		if err == nil {
			var chain []*x509.Certificate
			if chain, err = certs.Parse(content); err == nil {
				p.cert = chain[0]
			}
		}
		p.err = err
		if p.cert != nil && !f.CA {
			key := content
			if strings.HasSuffix(f.Path, ".crt") {
				if key, err = m.file(strings.TrimSuffix(f.Path, ".crt") + ".key"); err != nil {
					key = nil
				}
			}
			p.fits = fits(p.cert, bytes.Clone(key))
		}
		// A file that is not there is one that was lost: all of them are there on
		// a control plane of stacked etcd.
		p.missing = f.CA && diag.KindOf(err) == diag.NotFound
		out = append(out, p)
	}
	return out
}

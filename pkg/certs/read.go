package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"kforge.dev/kforge/pkg/diag"
)

// Parse gives the certificates of a file, its own first. The file is PEM, or a
// kubeconfig that has its client's certificate in it. Keys beside them are passed
// over. A file without any is an error of kind NotFound, one that cannot be read
// of kind Invalid.
func Parse(content []byte) ([]*x509.Certificate, error) {
	const op = "read certificate"
	if !bytes.Contains(content, []byte("-----BEGIN ")) {
		inside, err := embedded(content)
		switch {
		case err != nil:
			return nil, diag.New(diag.Invalid, op, "it is neither PEM nor a kubeconfig")
		case len(inside) == 0:
			return nil, diag.New(diag.NotFound, op, "the kubeconfig has none in it")
		}
		content = inside
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, op, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, diag.New(diag.NotFound, op, "there is none in the file")
	}
	return out, nil
}

// End gives the moment at which the first certificate of a file ends to be valid.
func End(content []byte) (time.Time, error) {
	chain, err := Parse(content)
	if err != nil {
		return time.Time{}, err
	}
	return chain[0].NotAfter.UTC(), nil
}

// Embedded tells whether a kubeconfig has the certificate of its client in it,
// instead of the name of a file.
func Embedded(kubeconfig []byte) bool {
	inside, err := embedded(kubeconfig)
	return err == nil && len(inside) > 0
}

func embedded(kubeconfig []byte) ([]byte, error) {
	var conf struct {
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(kubeconfig, &conf); err != nil || len(conf.Users) == 0 {
		return nil, err
	}
	return conf.Users[0].User.Certificate, nil
}

// Key gives the private key of a file as PEM: of a kubelet's, of a key's own, or of
// a kubeconfig that has it in it. It is nil where there is none.
func Key(content []byte) []byte {
	if !bytes.Contains(content, []byte("-----BEGIN ")) {
		var conf struct {
			Users []struct {
				User struct {
					Key []byte `json:"client-key-data"`
				} `json:"user"`
			} `json:"users"`
		}
		if err := yaml.Unmarshal(content, &conf); err != nil || len(conf.Users) == 0 {
			return nil
		}
		content = conf.Users[0].User.Key
	}
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return nil
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return pem.EncodeToMemory(block)
		}
	}
}

// Encode gives a certificate as PEM.
func Encode(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"

	"kforge.dev/kforge/pkg/diag"
)

// Dial connects to an address as seen from a host.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Served gives the certificate that a server shows in a TLS handshake. It is not
// verified: it is what is asked for. Whether the server then wants a certificate
// of the client makes no difference.
func Served(ctx context.Context, dial Dial, address string) (*x509.Certificate, error) {
	const op = "ask for the served certificate"
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, diag.Wrap(diag.Unreachable, op, err)
	}
	defer conn.Close()
	var shown *x509.Certificate
	client := tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent to the server
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) > 0 {
				shown = s.PeerCertificates[0]
			}
			return nil
		},
	})
	err = client.HandshakeContext(ctx)
	switch {
	case shown != nil:
		return shown, nil
	case err != nil:
		return nil, diag.Wrap(diag.Unreachable, op, err)
	}
	return nil, diag.New(diag.NotFound, op, "%s shows none", address)
}

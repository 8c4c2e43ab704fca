// Package etcd talks to the members of a cluster's etcd: it tells how they
// stand, removes one while quorum holds, gives back unused space, and takes and
// checks snapshots. It is the only package that reaches etcd's client, and it
// reaches members through a dialer only.
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// Dialer opens connections to members, through an SSH tunnel.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Credentials are what a member asks of a client, as PEM. They are held in
// memory only.
type Credentials struct {
	CA, Cert []byte
	Key      spec.Secret
}

// patience bounds one request to one member: a member that does not answer
// must not hide the others.
const patience = 10 * time.Second

// pace is between two looks where nothing can be watched.
const pace = 500 * time.Millisecond

// Cluster is the etcd of one Kubernetes cluster. It is safe for concurrent use.
type Cluster struct {
	client *clientv3.Client
	config clientv3.Config
}

// Connect makes a client from credentials (nil for members without TLS) and the
// client URLs of any members; the others are found by these. dial nil means
// directly. It sends no request.
func Connect(creds *Credentials, endpoints []string, dial Dialer) (*Cluster, error) {
	const op = "connect to etcd"
	if len(endpoints) == 0 {
		return nil, diag.New(diag.Invalid, op, "no member's address is known")
	}
	config := clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: patience}
	if creds != nil {
		pair, err := tls.X509KeyPair(creds.Cert, creds.Key)
		if err != nil {
			return nil, diag.Wrap(diag.Invalid, op, err).WithHint("the client's certificate and key do not fit: see /etc/kubernetes/pki on the control plane")
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(creds.CA) {
			return nil, diag.New(diag.Invalid, op, "etcd's CA is no certificate").WithHint("see /etc/kubernetes/pki/etcd/ca.crt on the control plane")
		}
		config.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if dial != nil {
		config.DialOptions = append(config.DialOptions, grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dial(ctx, "tcp", addr)
		}))
	}
	return open(config)
}

func open(config clientv3.Config) (*Cluster, error) {
	client, err := clientv3.New(config)
	if err != nil {
		return nil, diag.Wrap(diag.Invalid, "connect to etcd", err)
	}
	return &Cluster{client: client, config: config}, nil
}

// only is a client of one member: some requests are answered by the leader
// only, or must all reach the same member.
func (c *Cluster) only(endpoint string) (*Cluster, error) {
	config := c.config
	config.Endpoints = []string{endpoint}
	return open(config)
}

// Close ends all connections.
func (c *Cluster) Close() error { return c.client.Close() }

// explain gives an answer of etcd the kind that a program can act on.
func explain(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case diag.KindOf(err) != diag.Unknown:
		return diag.Wrap(diag.KindOf(err), op, err)
	}
	e := diag.Wrap(diag.Cluster, op, err)
	switch text := err.Error(); {
	case strings.Contains(text, "no leader"), strings.Contains(text, "request timed out"):
		e.Hint = "more than half of the voting members must be up: see `kforge etcd status`"
	case strings.Contains(text, "unhealthy cluster"):
		e.Hint = "etcd refuses to change its members until all that remain are connected: see `kforge etcd status`"
	case strings.Contains(text, "NOSPACE"), strings.Contains(text, "database space exceeded"):
		e.Hint = "give back space with `kforge etcd defrag`"
	}
	return e
}

// address is a URL's host and port, for people.
func address(raw string) string {
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		return u.Host
	}
	return raw
}

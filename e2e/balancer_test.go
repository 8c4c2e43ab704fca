//go:build e2e

package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/lab/host"
)

// siteBalancer is a load balancer of the site's own, as endpointMode external
// wants one: TCP to whichever control plane takes the connection. It gives its
// address and runs until the test ends.
func siteBalancer(ctx context.Context, t *testing.T, controlPlanes ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host.Gateway, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { l.Close() })
	t.Cleanup(func() {
		cancel()
		stop()
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			wg.Go(func() { forward(ctx, client, controlPlanes) })
		}
	})
	return l.Addr().String()
}

func forward(ctx context.Context, client net.Conn, servers []string) {
	defer client.Close()
	for _, s := range servers {
		server, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s)
		if err != nil {
			continue
		}
		defer server.Close()
		defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(server, client); server.(*net.TCPConn).CloseWrite() })
		wg.Go(func() { io.Copy(client, server); client.(*net.TCPConn).CloseWrite() })
		wg.Wait()
		return
	}
}

//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kforge.dev/kforge/e2e/lab/host"
	"kforge.dev/kforge/e2e/lab/proc"
)

const (
	probeEvery = 20 * time.Millisecond
	// probePatience with one request: a client that waits longer has noticed.
	probePatience = time.Second
	// longPatience is for what must not fail, and may be slow: the hosts of the lab
	// have one machine between them.
	longPatience = 10 * time.Second
)

// probe asks the API at an endpoint of a host, on a new connection each time, and
// counts. It sees what a client on that host sees.
type probe struct {
	asked, failed atomic.Int64
	slow          atomic.Int64 // beyond probePatience, failed or not
	mu            sync.Mutex
	errors        map[string]int
	seconds       map[string]int // how many failed in which second
	stop          func()
}

// startProbe asks host's own endpoint until it is stopped. It fails the test if
// none of the first requests is answered.
func startProbe(ctx context.Context, t *testing.T, h *host.Host, endpoint string) *probe {
	t.Helper()
	return startPatientProbe(ctx, t, h, endpoint, probePatience)
}

// startPatientProbe counts as failed what is not answered within patience.
func startPatientProbe(ctx context.Context, t *testing.T, h *host.Host, endpoint string, patience time.Duration) *probe {
	t.Helper()
	return startProbeOf(ctx, t, h, endpoint, func(ctx context.Context, door *ssh.Client) error { return ask(ctx, door, endpoint, patience) })
}

// startProbeOf asks something else, called what, from a host.
func startProbeOf(ctx context.Context, t *testing.T, h *host.Host, what string, ask func(context.Context, *ssh.Client) error) *probe {
	t.Helper()
	door, err := h.Dial(ctx, "root")
	if err != nil {
		t.Fatal(err)
	}
	p := &probe{errors: map[string]int{}, seconds: map[string]int{}}
	if err := proc.Until(ctx, 30*time.Second, what+" to answer on "+h.Name, func(ctx context.Context) error { return ask(ctx, door) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(probeEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			wg.Go(func() {
				began := time.Now()
				err := ask(ctx, door)
				if ctx.Err() != nil {
					return
				}
				p.asked.Add(1)
				if time.Since(began) > probePatience {
					p.slow.Add(1)
				}
				if err != nil {
					p.failed.Add(1)
					p.mu.Lock()
					p.errors[err.Error()]++
					p.seconds[time.Now().UTC().Format(time.TimeOnly)]++
					p.mu.Unlock()
				}
			})
		}
	})
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			cancel()
			door.Close()
			wg.Wait()
		})
	}
	t.Cleanup(p.stop)
	return p
}

// ask makes one request: a new connection, TLS, /readyz.
func ask(ctx context.Context, door *ssh.Client, endpoint string, patience time.Duration) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil { // what was closed because of it says less
			err = fmt.Errorf("no answer within %s", patience)
		}
	}()
	raw, err := door.DialContext(ctx, "tcp", endpoint)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	defer raw.Close()
	// Whether a server answers is asked here, not whether it is the right one.
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+endpoint+"/readyz", nil)
	if err != nil {
		return err
	}
	if err := req.Write(conn); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// lost is how long requests failed, in all.
func (p *probe) lost() time.Duration { return time.Duration(p.failed.Load()) * probeEvery }

// report stops the probe and prints what it counted.
func (p *probe) report(t *testing.T, during string) {
	t.Helper()
	p.stop()
	t.Logf("probe during %s: %d requests, each on a new connection; %d failed, %s in all; %d took more than %s", during, p.asked.Load(), p.failed.Load(), p.lost(), p.slow.Load(), probePatience)
	for err, n := range p.errors {
		t.Logf("  %d times: %s", n, err)
	}
	for _, second := range slices.Sorted(maps.Keys(p.seconds)) {
		t.Logf("  at %s: %d failed", second, p.seconds[second])
	}
}

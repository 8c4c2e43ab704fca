package rotate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"syscall"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// The turn is the Lease kube-system/kforge-certs: who holds it is the only
// control plane that renews. A holder that died gives it up after its duration.
const (
	leaseURL      = "https://127.0.0.1:6443/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
	leaseName     = "kforge-certs"
	leaseDuration = 15 * time.Minute // longer than a rotation with its waits
	microTime     = "2006-01-02T15:04:05.000000Z07:00"
)

// lease is what is used of a coordination.k8s.io/v1 Lease.
type lease struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name            string `json:"name"`
		Namespace       string `json:"namespace"`
		ResourceVersion string `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
	Spec struct {
		Holder   *string `json:"holderIdentity,omitempty"`
		Seconds  *int    `json:"leaseDurationSeconds,omitempty"`
		Acquired *string `json:"acquireTime,omitempty"`
		Renewed  *string `json:"renewTime,omitempty"`
	} `json:"spec"`
}

// Turn takes the Lease as node, or waits for it within a time. Another holder
// after that is an error that names it: the timer comes again.
func (m *Machine) Turn(node string, within time.Duration) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) {
		client, err := m.apiClient()
		if err != nil {
			return nil, err
		}
		if err := until(ctx, within, "wait for this control plane's turn", func(ctx context.Context) error { return m.take(ctx, client, node) }); err != nil {
			return nil, err
		}
		return func() {
			// Where it cannot be given up, the others wait until it has run out.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			until(ctx, 20*time.Second, "give the turn on", func(ctx context.Context) error { return m.give(ctx, client, node) })
			client.CloseIdleConnections()
		}, nil
	}
}

// hostLock is the agent's: a run of kforge has it while it works on the host.
const hostLock = "/run/kforge/lock"

// Free waits until no run of kforge works on this host: it may be about to upgrade
// or to reset it. One that takes longer is an error.
func (m *Machine) Free(ctx context.Context, within time.Duration) error {
	return until(ctx, within, "wait for a run of kforge on this host", func(context.Context) error {
		f, err := os.Open(m.path(hostLock))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close() // and the lock goes with it
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
			return diag.New(diag.Locked, "", "it goes on still")
		}
		return nil
	})
}

func (m *Machine) take(ctx context.Context, client *http.Client, node string) error {
	l, err := ask(ctx, client, http.MethodGet, leaseURL+"/"+leaseName, nil)
	if err != nil {
		return err
	}
	now := m.now().UTC()
	method, url := http.MethodPut, leaseURL+"/"+leaseName
	if l == nil {
		l = &lease{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}
		l.Metadata.Name, l.Metadata.Namespace = leaseName, "kube-system"
		method, url = http.MethodPost, leaseURL
	} else if l.Spec.Holder != nil && *l.Spec.Holder != "" && *l.Spec.Holder != node && !l.over(now) {
		return fmt.Errorf("%s renews its certificates just now", *l.Spec.Holder)
	}
	seconds, at := int(leaseDuration.Seconds()), now.Format(microTime)
	l.Spec.Holder, l.Spec.Seconds, l.Spec.Acquired, l.Spec.Renewed = &node, &seconds, &at, &at
	_, err = ask(ctx, client, method, url, l)
	return err
}

// over tells whether the holder has had the lease for longer than it may.
func (l *lease) over(now time.Time) bool {
	if l.Spec.Renewed == nil {
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, *l.Spec.Renewed)
	return err != nil || now.After(at.Add(leaseDuration))
}

func (m *Machine) give(ctx context.Context, client *http.Client, node string) error {
	l, err := ask(ctx, client, http.MethodGet, leaseURL+"/"+leaseName, nil)
	if err != nil || l == nil || l.Spec.Holder == nil || *l.Spec.Holder != node {
		return err
	}
	none := ""
	l.Spec.Holder = &none
	_, err = ask(ctx, client, http.MethodPut, leaseURL+"/"+leaseName, l)
	return err
}

// ask gives the lease that the API answers with, nil where there is none.
func ask(ctx context.Context, client *http.Client, method, url string, body *lease) (*lease, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return nil, nil
	case resp.StatusCode/100 != 2:
		return nil, fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, raw)
	}
	l := &lease{}
	return l, json.Unmarshal(raw, l)
}

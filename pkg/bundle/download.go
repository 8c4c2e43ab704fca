package bundle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
)

// stallTimeout is how long a transfer may bring no byte before it is given up.
const stallTimeout = 60 * time.Second

// newTransport is the default one with an end to every wait.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = stallTimeout
	return stallGuard{t, stallTimeout}
}

// stallGuard cancels a response whose body stands still.
type stallGuard struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (g stallGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &guardedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, timeout: g.timeout}
	b.timer = time.AfterFunc(g.timeout, func() {
		cancel(diag.New(diag.Timeout, "read "+req.URL.Redacted(), "no byte came for %s", g.timeout))
	})
	resp.Body = b
	return resp, nil
}

// CloseIdleConnections lets http.Client reach the connections below.
func (g stallGuard) CloseIdleConnections() {
	if c, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type guardedBody struct {
	io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.timer.Reset(b.timeout)
	}
	if err != nil && !errors.Is(err, io.EOF) && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// file downloads a file. want is its locked SHA-256, or "" to take the one that
// the source publishes.
func (f *fetcher) file(ctx context.Context, i Item, want string, report func(int64, int64, bool)) (Entry, error) {
	entry := Entry{Name: i.Name, Version: i.Version, Arch: i.Arch, Kind: File, Source: i.URL, SHA256: want}
	if want == "" {
		err := f.attempt(ctx, func() (err error) {
			entry.SHA256, err = f.published(ctx, i)
			return err
		})
		if err != nil {
			return Entry{}, err
		}
		here, err := f.cache.check(ctx, entry.SHA256, 0)
		if err != nil {
			return Entry{}, err
		}
		if here { // another cluster fetched it
			c, err := f.open(entry.SHA256)
			if err != nil {
				return Entry{}, err
			}
			entry.Size = c.Size
			report(c.Size, c.Size, true)
			return entry, c.Close()
		}
	}
	d, err := f.cache.draft()
	if err != nil {
		return Entry{}, err
	}
	defer d.drop()
	err = f.attempt(ctx, func() error {
		if err := d.reset(); err != nil {
			return err
		}
		return f.get(ctx, i, f.mirror.url(i.URL), func(body io.Reader, size int64) error {
			_, err := io.Copy(d, &meter{r: body, total: size, report: report})
			return err
		})
	})
	if err != nil {
		return Entry{}, err
	}
	if got := hexOf(d.sum); got != entry.SHA256 {
		if want != "" {
			return Entry{}, mismatch{"sha256:" + got}
		}
		return Entry{}, diag.New(diag.Digest, "fetch "+i.String(), "%s is sha256:%s, expected sha256:%s as published in %s",
			redact(f.mirror.url(i.URL)), got, entry.SHA256, redact(f.mirror.url(i.Checksum))).
			WithHint("the download or the mirror is damaged: try again, or another mirror")
	}
	entry.Size = d.n
	if _, err := f.cache.keep(d); err != nil {
		return Entry{}, fmt.Errorf("keep %s: %w", i, err)
	}
	return entry, nil
}

// published gives the SHA-256 that the source publishes for a file.
func (f *fetcher) published(ctx context.Context, i Item) (sum string, err error) {
	err = f.get(ctx, i, f.mirror.url(i.Checksum), func(body io.Reader, _ int64) error {
		raw, err := io.ReadAll(io.LimitReader(body, 1<<20))
		if err != nil {
			return err
		}
		if sum, err = parseChecksum(bytes.NewReader(raw), path.Base(i.URL)); err != nil {
			return diag.Wrap(diag.Digest, "read checksum of "+i.String(), fmt.Errorf("%s: %w", redact(f.mirror.url(i.Checksum)), err)).
				WithHint("the mirror must serve the checksum file of the official site")
		}
		return nil
	})
	return sum, err
}

// parseChecksum finds a file's SHA-256 in lines of sha256sum ("HEX  NAME",
// "HEX *NAME") or in a file that is one hex number. Other lines (a signature's)
// are passed over.
func parseChecksum(r io.Reader, file string) (string, error) {
	var alone []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || !isHex256(strings.ToLower(fields[0])) {
			continue
		}
		sum := strings.ToLower(fields[0])
		switch {
		case len(fields) == 1:
			alone = append(alone, sum)
		case path.Base(strings.TrimPrefix(fields[1], "*")) == file:
			return sum, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	if len(alone) == 1 {
		return alone[0], nil
	}
	return "", fmt.Errorf("no SHA-256 of %s in it", file)
}

// get requests a URL and hands its body to use.
func (f *fetcher) get(ctx context.Context, i Item, url string, use func(body io.Reader, size int64) error) error {
	op := "fetch " + i.String()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return diag.Wrap(diag.Invalid, op, err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return f.failed(ctx, i, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return f.refused(i, redact(url), resp.StatusCode, fmt.Errorf("%s: %s", redact(url), resp.Status))
	}
	if err := use(resp.Body, max(resp.ContentLength, 0)); err != nil {
		if diag.KindOf(err) != diag.Unknown {
			return err
		}
		return f.failed(ctx, i, err)
	}
	return nil
}

// refused turns an HTTP status into an error.
func (f *fetcher) refused(i Item, from string, status int, cause error) error {
	op := "fetch " + i.String()
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		return diag.Wrap(diag.NotFound, op, cause).
			WithHint("%s has no %s for %s: check the version, or add it to the mirror", from, i.Name, i.Arch)
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return diag.Wrap(diag.Permission, op, cause).WithHint("log in to the mirror, or check the proxy's rules")
	default:
		return diag.Wrap(diag.Unreachable, op, cause).WithHint("the server is unwell: try again later")
	}
}

// failed turns a broken transfer into an error.
func (f *fetcher) failed(ctx context.Context, i Item, err error) error {
	op := "fetch " + i.String()
	if ctx.Err() != nil {
		return diag.Wrap(diag.KindOf(ctx.Err()), op, context.Cause(ctx))
	}
	kind := diag.Unreachable
	if errors.Is(err, io.ErrUnexpectedEOF) {
		kind = diag.Transport
	}
	return diag.Wrap(kind, op, err).
		WithHint("this machine needs the internet, a mirror (spec.artifacts.mirror) or a bundle (--bundle FILE)")
}

// meter reports bytes as they pass, not more often than once in 256 KiB.
type meter struct {
	r                 io.Reader
	done, said, total int64
	report            func(done, total int64, cached bool)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.done += int64(n)
	if m.done-m.said >= 256<<10 {
		m.said = m.done
		m.report(m.done, m.total, false)
	}
	return n, err
}

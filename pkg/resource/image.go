package resource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// progressStep is how many bytes lie between two events of progress.
const progressStep = 4 << 20

type imageKind struct{ want *spec.Image }

// ImageList is what containerd was last seen to hold, by name. Asking it costs
// a process of forty megabytes, and an apply imports image after image. A plan
// always asks anew.
type ImageList struct {
	mu     sync.Mutex
	digest map[string]string
}

func (l *ImageList) get() map[string]string {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.digest
}

func (l *ImageList) set(digest map[string]string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.digest = digest
}

type imageState struct {
	want    *spec.Image
	ctr     string
	have    string // digest under the name, "" when it is not there
	pending string // why the images cannot be listed yet
}

func (k imageKind) observe(ctx context.Context, s *session) (observed, error) {
	if err := checkDigest(k.want.Digest); err != nil {
		return nil, err
	}
	if err := checkDigest(k.want.Blob.Digest); err != nil {
		return nil, err
	}
	st := &imageState{want: k.want, ctr: s.find("ctr")}
	if st.ctr == "" {
		st.pending = "containerd is not there yet"
		if !s.planning {
			return nil, diag.New(diag.NotFound, "list images", "ctr is not on %s", SearchPath)
		}
		return st, nil
	}
	if s.images == nil && !s.planning {
		s.images = s.Images.get()
	}
	if s.images == nil {
		images, err := listImages(ctx, s, st.ctr)
		var d *diag.Error
		if errors.As(err, &d) && d.Kind == diag.Command && s.planning {
			st.pending = "containerd does not answer"
			return st, nil
		}
		if err != nil {
			return nil, err
		}
		s.images = images
		s.Images.set(images)
	}
	st.have = s.images[k.want.Name]
	return st, nil
}

func listImages(ctx context.Context, s *session, ctr string) (map[string]string, error) {
	out, err := run(ctx, s.Runner, s.path(ctr), "-n", "k8s.io", "images", "ls")
	if err != nil {
		return nil, err
	}
	return parseImages(out), nil
}

// parseImages reads the table of ctr: REF TYPE DIGEST SIZE PLATFORMS LABELS.
func parseImages(out string) map[string]string {
	images := map[string]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		for _, v := range f[min(1, len(f)):] {
			if strings.HasPrefix(v, "sha256:") {
				images[f[0]] = v
				break
			}
		}
	}
	return images
}

func (st *imageState) diff(*session) ([]spec.Change, error) {
	if st.have == st.want.Digest {
		return nil, nil
	}
	c := spec.Change{Action: spec.Import, Detail: st.want.Name, Pending: st.pending, NeedsBlobs: []string{st.want.Blob.Digest}}
	if st.have != "" {
		c.Detail += " (another image of that name is there)"
	}
	return []spec.Change{c}, nil
}

func (st *imageState) apply(ctx context.Context, s *session) error {
	f, err := openBlob(s, &st.want.Blob)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	argv := []string{s.path(st.ctr), "-n", "k8s.io", "images", "import", "-"}
	res, err := s.Runner.Run(ctx, Cmd{Argv: argv, Stdin: &counter{s: s, r: f, total: fi.Size()}})
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return failed(argv, res)
	}
	images, err := listImages(ctx, s, st.ctr)
	if err != nil {
		return err
	}
	s.images = images
	s.Images.set(images)
	if got := images[st.want.Name]; got != st.want.Digest {
		if got == "" {
			got = "no image"
		}
		return diag.New(diag.NotConverged, "import "+st.want.Name, "%s has that name after the import, want %s", got, st.want.Digest).
			WithHint("the archive's index.json must name the image in the annotation io.containerd.image.name")
	}
	return nil
}

// counter tells how much of the archive containerd has read.
type counter struct {
	s                 *session
	r                 io.Reader
	done, told, total int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.done-c.told >= progressStep || errors.Is(err, io.EOF) && c.told < c.done {
		c.told = c.done
		c.s.sink(Event{Resource: c.s.id, Done: c.done, Total: c.total})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("reading image archive: %w", err)
	}
	return n, err
}

package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// archiveLayout names the way of writing archives; change it when the same
// image comes to give other bytes.
const archiveLayout = "oci-1"

// writeImageArchive writes an image as an OCI archive: a plain tar whose index
// names one manifest by the reference ref, as containerd imports it. Manifest,
// configuration and layers are byte for byte those of the registry, members are
// sorted and carry no times, so equal images give equal archives. each wraps
// the reader of every layer.
func writeImageArchive(w io.Writer, ref string, img v1.Image, each func(r io.Reader, size int64) io.Reader) error {
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	mediaType, err := img.MediaType()
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	configDigest, err := img.ConfigName()
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	_, tag := splitTag(ref)
	index, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{{
			MediaType: mediaType, Digest: digest, Size: int64(len(manifest)),
			Annotations: map[string]string{
				"io.containerd.image.name":          ref,
				"org.opencontainers.image.ref.name": tag,
			},
		}},
	})
	if err != nil {
		return err
	}

	members := map[string]member{
		blobMember(digest.Hex):       bytesMember(manifest),
		blobMember(configDigest.Hex): bytesMember(config),
		"index.json":                 bytesMember(index),
		"oci-layout":                 bytesMember([]byte(`{"imageLayoutVersion":"1.0.0"}`)),
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return err
		}
		size, err := l.Size()
		if err != nil {
			return err
		}
		members[blobMember(h.Hex)] = member{size: size, open: func() (io.ReadCloser, error) {
			rc, err := l.Compressed()
			if err != nil {
				return nil, err
			}
			return struct {
				io.Reader
				io.Closer
			}{each(rc, size), rc}, nil
		}}
	}
	return writeTar(w, members)
}

// blobMember is where both kinds of archive keep content.
func blobMember(hex string) string { return "blobs/sha256/" + hex }

// member of a tar: its content is opened when its turn comes.
type member struct {
	size int64
	open func() (io.ReadCloser, error)
}

func bytesMember(b []byte) member {
	return member{int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// writeTar writes members sorted by name, those in first before all others.
func writeTar(w io.Writer, members map[string]member, first ...string) error {
	names := slices.Clone(first)
	var rest []string
	for n := range members {
		if !slices.Contains(first, n) {
			rest = append(rest, n)
		}
	}
	slices.SortFunc(rest, strings.Compare)
	t := tar.NewWriter(w)
	for _, n := range append(names, rest...) {
		if err := writeMember(t, n, members[n]); err != nil {
			return fmt.Errorf("write %s: %w", n, err)
		}
	}
	return t.Close()
}

func writeMember(t *tar.Writer, name string, m member) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: m.size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	r, err := m.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(t, r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return err
}

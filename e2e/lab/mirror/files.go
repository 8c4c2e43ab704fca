package mirror

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kforge.dev/kforge/e2e/lab/artifact"
)

// epoch is the time of every file in archives and images: fixed, so that equal content has equal digests.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// writeFiles fills dir with HOST/PATH for every download of the set, named and summed as on the official sites.
func writeFiles(ctx context.Context, set artifact.Set, dir string) error {
	v := set.Versions
	for _, name := range []string{"kubeadm", "kubelet", "kubectl"} {
		file := filepath.Join(dir, "dl.k8s.io/release", v.Kubernetes, "bin/linux/amd64", name)
		if err := link(set.File("kubernetes", name), file); err != nil {
			return err
		}
		if err := writeSum(file, file+".sha256", false); err != nil {
			return err
		}
	}

	containerd := filepath.Join(dir, "github.com/containerd/containerd/releases/download", v.Containerd,
		"containerd-"+strings.TrimPrefix(v.Containerd, "v")+"-linux-amd64.tar.gz")
	var entries []entry
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		entries = append(entries, entry{Name: "bin/" + name, From: set.File("containerd", name)})
	}
	if err := writeTarball(ctx, containerd, append([]entry{{Name: "bin/"}}, entries...)); err != nil {
		return err
	}
	if err := writeSum(containerd, containerd+".sha256sum", true); err != nil {
		return err
	}

	runc := filepath.Join(dir, "github.com/opencontainers/runc/releases/download", v.Runc, "runc.amd64")
	if err := link(set.File("runc", "runc"), runc); err != nil {
		return err
	}
	if err := writeSum(runc, filepath.Join(filepath.Dir(runc), "runc.sha256sum"), true); err != nil {
		return err
	}

	cni := filepath.Join(dir, "github.com/containernetworking/plugins/releases/download", v.CNI, "cni-plugins-linux-amd64-"+v.CNI+".tgz")
	entries = []entry{{Name: "./"}}
	for _, a := range set.Artifacts {
		if a.Name == "cni-plugins" {
			for _, name := range a.Files {
				entries = append(entries, entry{Name: "./" + name, From: filepath.Join(a.Dir, name)})
			}
		}
	}
	if err := writeTarball(ctx, cni, entries); err != nil {
		return err
	}
	if err := writeSum(cni, cni+".sha256", true); err != nil {
		return err
	}
	return link(set.File("flannel", "kube-flannel.yml"),
		filepath.Join(dir, "github.com/flannel-io/flannel/releases/download", v.Flannel, "kube-flannel.yml"))
}

// link puts the file at from also at to; the two share their disk space where they can.
func link(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("making a directory of the mirror: %w", err)
	}
	err := os.Link(from, to)
	if errors.Is(err, syscall.EXDEV) {
		return copyFile(from, to)
	}
	if err != nil {
		return fmt.Errorf("linking into the mirror: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying into the mirror: %w", err)
	}
	defer in.Close()
	return writeTo(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

// writeSum writes the sha256 of file to sum: bare hex, or "hex  name" when named.
func writeSum(file, sum string, named bool) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("summing: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("summing %s: %w", file, err)
	}
	text := hex.EncodeToString(h.Sum(nil))
	if named {
		text += "  " + path.Base(file) + "\n"
	}
	if err := os.WriteFile(sum, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing a checksum: %w", err)
	}
	return nil
}

// entry is one file of an archive or image layer. Without From it is a directory if its name ends in a slash, else a link to Link.
type entry struct {
	Name string // as in the archive
	From string // the file that holds the content
	Link string
}

func writeTarball(ctx context.Context, file string, entries []entry) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making a directory of the mirror: %w", err)
	}
	return writeTo(file, func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return err
		}
		if err := writeTar(ctx, z, entries); err != nil {
			return err
		}
		return z.Close()
	})
}

func writeTo(file string, write func(w io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("creating %s: %w", file, err)
	}
	defer f.Close()
	if err := write(f); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// writeTar writes entries as a tar archive: owner root, fixed times, programs executable.
func writeTar(ctx context.Context, w io.Writer, entries []entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		header := &tar.Header{Name: e.Name, Mode: 0o755, ModTime: epoch, Format: tar.FormatPAX}
		switch {
		case e.Link != "":
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.Link
		case e.From == "":
			header.Typeflag = tar.TypeDir
		default:
			header.Typeflag = tar.TypeReg
			if err := writeFileEntry(t, header, e.From); err != nil {
				return err
			}
			continue
		}
		if err := t.WriteHeader(header); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeFileEntry(t *tar.Writer, header *tar.Header, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header.Size = info.Size()
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

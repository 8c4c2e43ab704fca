package fleet

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kforge.dev/kforge/pkg/resource/resourcetest"
)

// newTree makes the root of host i: a Debian 12 that was just installed.
func newTree(root string, i int) (*resourcetest.Host, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	h, err := resourcetest.New(root)
	if err != nil {
		return nil, err
	}
	for path, content := range map[string]string{
		"/etc/machine-id":           fmt.Sprintf("%032x\n", 0xf1ee7000+i),
		"/etc/hostname":             hostName(i) + "\n",
		"/proc/sys/kernel/hostname": hostName(i) + "\n",
		"/dev/kmsg":                 "",
		"/lib/modules/6.1.0-25-amd64/modules.dep": "kernel/fs/overlayfs/overlay.ko:\nkernel/drivers/net/vxlan/vxlan.ko:\n" +
			"kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko\n",
		"/proc/sys/net/bridge/bridge-nf-call-iptables":  "0\n",
		"/proc/sys/net/bridge/bridge-nf-call-ip6tables": "0\n",
		"/proc/sys/net/netfilter/nf_conntrack_max":      "65536\n",
		"/proc/sys/fs/inotify/max_user_instances":       "128\n",
		"/proc/sys/fs/inotify/max_user_watches":         "65536\n",
		"/usr/lib/systemd/system/chrony.service":        "[Service]\nExecStart=/usr/sbin/chronyd\n",
		"/run/chrony/chronyd.pid":                       "321\n",
	} {
		if err := h.WriteFile(path, content); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Digest tells a host's files apart: path, mode and content of all, but for
// what skip names (paths from the host's root).
func (m *Machine) Digest(skip ...string) (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(m.Root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(p, m.Root)
		for _, s := range skip {
			if rel == s {
				if e.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			content, err = os.Readlink(p)
		case fi.Mode().IsRegular():
			var raw []byte
			raw, err = os.ReadFile(p)
			content = string(raw)
		}
		fmt.Fprintf(sum, "%q %v %x\n", rel, fi.Mode(), sha256.Sum256([]byte(content)))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("digest %s: %w", m.Name, err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)), nil
}

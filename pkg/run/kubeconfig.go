package run

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/inventory"
	"kforge.dev/kforge/pkg/kube"
	"kforge.dev/kforge/pkg/kubeadm"
)

// KubeconfigOptions say where an admin's access is written, and which way it goes.
type KubeconfigOptions struct {
	Inventory string
	// File is merged into and made where it is not there; "-" writes none.
	File    string
	Context string // "" is the cluster's name, with -ssh behind it for a tunnel
	Use     bool   // it becomes the current context
	// ThroughSSH makes an access through a tunnel whose near end is LocalPort.
	ThroughSSH bool
	LocalPort  int
	Yes        bool
	// Ask wants a yes to what text tells. nil: there is nobody to ask.
	Ask func(ctx context.Context, text string) (bool, error)
}

// KubeconfigView is what was written.
type KubeconfigView struct {
	File    string `json:"file,omitempty"`
	Context string `json:"context"`
	Server  string `json:"server"`
	Changed bool   `json:"changed"`
	// Through is the control plane at the far end of the tunnel, Tunnel the
	// command that opens it.
	Through string   `json:"through,omitempty"`
	Tunnel  []string `json:"tunnel,omitempty"`
	Content []byte   `json:"-"` // of the kubeconfig
}

// certificateName is in the certificate of every API server that kubeadm made.
const certificateName = "kubernetes"

// Kubeconfig gives an admin access to a cluster: it reads the credentials from a
// control plane, changes nothing there, and merges a context into a kubeconfig.
// What the file says under the same name is replaced only with a yes.
func Kubeconfig(ctx context.Context, e *Env, o KubeconfigOptions) (*KubeconfigView, error) {
	c, _, err := inventory.Load(o.Inventory)
	if err != nil {
		return nil, err
	}
	s := &session{env: e, cluster: c, command: "kubeconfig", started: time.Now(), sink: warningsTo(e), left: map[string]error{}}
	if err := s.look(c.ControlPlanes()); err != nil {
		return nil, err
	}
	defer s.fleet.close()
	v := &KubeconfigView{File: o.File, Context: o.Context, Server: "https://" + adminServer(c)}
	var admin []byte
	err = s.beforeSteps(ctx, func(ctx context.Context) error {
		if err := s.fleet.connect(ctx); err != nil {
			return err
		}
		api, err := s.api(ctx) // it tells why there is none
		if err != nil {
			return err
		}
		api.Close()
		admin, err = s.fleet.adminConf(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	access := kube.Access{Use: o.Use}
	if v.Context == "" {
		v.Context = c.Name
	}
	if o.ThroughSSH {
		if o.Context == "" {
			v.Context += "-ssh"
		}
		h := s.farEnd()
		v.Through, v.Tunnel = h.Name, tunnelCommand(c, h, o.LocalPort)
		v.Server, access.TLSName = "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(o.LocalPort)), certificateName
	}
	access.Context, access.Server = v.Context, v.Server
	return v, v.merge(ctx, o, admin, access)
}

// farEnd gives a control plane that was reached and has a cluster.
func (s *session) farEnd() inventory.ResolvedHost {
	for _, h := range s.cluster.ControlPlanes() {
		if f := s.fleet.facts[h.Name]; f != nil && f.Kubernetes.AdminConf && !kubeadm.HalfDone(f) {
			return h
		}
	}
	return s.cluster.ControlPlanes()[0]
}

// tunnelCommand is the ssh command that opens a tunnel to the API server of a
// control plane, by the way that kforge goes itself.
func tunnelCommand(c *inventory.Cluster, h inventory.ResolvedHost, port int) []string {
	out := []string{"ssh", "-N", "-o", "ExitOnForwardFailure=yes", "-L", fmt.Sprintf("127.0.0.1:%d:127.0.0.1:%s", port, kubeadm.APIPort)}
	for _, file := range c.SSH.IdentityFiles {
		out = append(out, "-i", file)
	}
	if from := c.From["ssh.knownHosts"]; from != "" && from != "kforge" {
		out = append(out, "-o", "UserKnownHostsFile="+c.SSH.KnownHosts)
	}
	if len(c.SSH.Bastions) > 0 {
		out = append(out, "-J", strings.Join(c.SSH.Bastions, ","))
	}
	if h.Port != 0 {
		out = append(out, "-p", strconv.Itoa(h.Port))
	}
	if h.User != "" {
		out = append(out, "-l", h.User)
	}
	return append(out, "--", h.Address)
}

// merge writes the access into the file.
func (v *KubeconfigView) merge(ctx context.Context, o KubeconfigOptions, admin []byte, access kube.Access) error {
	const op = "write kubeconfig"
	if o.File == "-" {
		var err error
		v.File = ""
		v.Content, _, err = kube.MergeKubeconfig(nil, admin, access)
		return err
	}
	file := o.File
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real // the link stays a link
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return diag.Wrap(diag.Permission, op, err)
	}
	// kubectl keeps off a file that is being written by the same sign.
	lock, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		if os.IsExist(err) {
			return diag.New(diag.Locked, op, "somebody writes %s: %s.lock is there", file, file).WithHint("when nobody does, remove it")
		}
		return diag.Wrap(diag.Permission, op, err)
	}
	lock.Close()
	defer os.Remove(file + ".lock")
	mode := os.FileMode(0o600)
	before, err := os.ReadFile(file)
	switch {
	case err == nil:
		if info, serr := os.Stat(file); serr == nil {
			mode = info.Mode().Perm()
		}
	case !os.IsNotExist(err):
		return diag.Wrap(diag.Permission, op, err)
	}
	out, replaced, err := kube.MergeKubeconfig(before, admin, access)
	if err != nil {
		return &diag.Error{Op: "read " + o.File, Err: err}
	}
	v.Content, v.Changed = out, string(out) != string(before)
	if !v.Changed {
		return nil
	}
	if err := o.agreed(ctx, replaced); err != nil {
		return err
	}
	if err := replaceFile(file, out, mode); err != nil {
		return diag.Wrap(diag.Permission, op, err)
	}
	return nil
}

// agreed wants a yes where something would be lost.
func (o KubeconfigOptions) agreed(ctx context.Context, replaced []string) error {
	if len(replaced) == 0 || o.Yes {
		return nil
	}
	text := fmt.Sprintf("%s has %s already, which would be replaced", o.File, strings.Join(replaced, " and "))
	if o.Ask == nil {
		return diag.New(diag.Consent, "write kubeconfig", "%s", text).WithHint("add --yes to agree, or choose another name with --context, or another file with --out")
	}
	yes, err := o.Ask(ctx, text)
	if err == nil && !yes {
		err = diag.New(diag.Consent, "write kubeconfig", "not agreed: nothing was changed")
	}
	return err
}

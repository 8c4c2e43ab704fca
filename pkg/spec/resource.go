// Package spec holds plain structs that say what a host or a cluster should
// hold and how it differs from that. It does nothing: resource applies host
// specs, kube applies cluster specs.
package spec

import (
	"fmt"
	"io/fs"
)

// Resource is one thing on a host that can be observed, compared and applied.
// Exactly one of the kinds is set. Resources are applied in the order given.
type Resource struct {
	// ID names the resource on its host, unique and stable between runs:
	// "file /etc/containerd/config.toml".
	ID string `json:"id"`
	// Why a person would want it, shown in plans.
	Why string `json:"why,omitempty"`

	File      *File      `json:"file,omitempty"`
	Directory *Directory `json:"directory,omitempty"`
	Symlink   *Symlink   `json:"symlink,omitempty"`
	Archive   *Archive   `json:"archive,omitempty"`
	Unit      *Unit      `json:"unit,omitempty"`
	Sysctl    *Sysctl    `json:"sysctl,omitempty"`
	Modules   *Modules   `json:"modules,omitempty"`
	Swap      *Swap      `json:"swap,omitempty"`
	Image     *Image     `json:"image,omitempty"`
	Command   *Command   `json:"command,omitempty"`

	Kubeconfig *Kubeconfig `json:"kubeconfig,omitempty"`
	Absent     *Absent     `json:"absent,omitempty"`
	Owned      *Owned      `json:"owned,omitempty"`
	Containers *Containers `json:"containers,omitempty"`
	Unmounted  *Unmounted  `json:"unmounted,omitempty"`
	NoLinks    *NoLinks    `json:"noLinks,omitempty"`
	NoFilter   *NoFilter   `json:"noFilter,omitempty"`
	Wiped      *Wiped      `json:"wiped,omitempty"`
	Move       *Move       `json:"move,omitempty"`
	Ended      *Ended      `json:"ended,omitempty"`
	HAProxy    *HAProxy    `json:"haproxy,omitempty"`
}

// Blob is content that travels apart from its resource, by digest.
type Blob struct {
	Digest string `json:"digest"` // "sha256:" and 64 hex digits
	Size   int64  `json:"size"`   // bytes
	Name   string `json:"name"`   // what a person calls it: "kubelet v1.37.2"
}

// Header is the line that marks a text file as owned whole by kforge.
const Header = "# Managed by kforge: changes here are overwritten by the next apply."

// File is a regular file that kforge owns whole. A file that is there already
// and is neither marked with Header nor recorded by the agent as ours belongs
// to somebody else: it is an error of kind foreign, unless Takeover is set;
// then the file found is kept beside it as PATH.kforge-orig, once.
type File struct {
	Path     string      `json:"path"`
	Mode     fs.FileMode `json:"mode"` // permission bits only
	UID      int         `json:"uid,omitempty"`
	GID      int         `json:"gid,omitempty"`
	Content  []byte      `json:"content,omitempty"` // small files
	Blob     *Blob       `json:"blob,omitempty"`    // instead of Content
	Secret   bool        `json:"secret,omitempty"`  // never shown in diffs
	Takeover bool        `json:"takeover,omitempty"`
	Absent   bool        `json:"absent,omitempty"` // the file must not be there (only ours is removed)
}

// Directory exists with this mode and owner. Its parents are made 0755.
type Directory struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid,omitempty"`
	GID  int         `json:"gid,omitempty"`
}

// Symlink points to Target. A file or foreign link in its place is an error.
type Symlink struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Archive is a tar or tar.gz unpacked into Dest. It is in place when all
// members that it wrote are as the agent recorded them. A member in whose place
// somebody else's file stands is an error of kind foreign.
type Archive struct {
	Blob Blob   `json:"blob"`
	Dest string `json:"dest"`
	// Strip this many leading path elements of each member.
	Strip int `json:"strip,omitempty"`
	// Only members whose stripped path is listed; empty means all.
	Only []string `json:"only,omitempty"`
	// Takeover replaces somebody else's files, as that of File does.
	Takeover bool `json:"takeover,omitempty"`
}

// Unit is a systemd unit; its file is a File of its own.
type Unit struct {
	Name    string `json:"name"`
	Enabled *bool  `json:"enabled,omitempty"`
	// State is "running", "stopped", "forgotten" (stopped, and systemd knows it no
	// more once its file is gone) or "" for whatever it is.
	State string `json:"state,omitempty"`
	// RestartOn lists files and directories (their regular files, not
	// recursive) that the unit reads at start. A running unit that was started
	// before they took their present content is restarted.
	RestartOn []string `json:"restartOn,omitempty"`
	// TimeoutSeconds for the unit to reach its state, 0 means 90.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// Sysctl holds kernel settings, live and in a drop-in of ours.
type Sysctl struct {
	Path   string            `json:"path"` // drop-in: /etc/sysctl.d/...
	Values map[string]string `json:"values"`
	// BestEffort keys are set where the kernel lets us (containers refuse
	// some); a refusal is reported as a warning, not an error.
	BestEffort []string `json:"bestEffort,omitempty"`
}

// Modules are kernel modules, loaded now and at boot by a drop-in of ours. One
// that is built in, or whose function the kernel shows, counts as loaded.
type Modules struct {
	Path  string   `json:"path"` // drop-in: /etc/modules-load.d/...
	Names []string `json:"names"`
	// Optional modules may be missing from the kernel; a warning then.
	Optional []string `json:"optional,omitempty"`
}

// Swap is off now and after the next boot: fstab, .swap units, zram. It is
// refused when the swap in use does not fit into available memory.
type Swap struct {
	Off bool `json:"off"`
	// Restore instead gives fstab the lines back that were switched off. Swap
	// itself comes back with the next boot.
	Restore bool `json:"restore,omitempty"`
}

// Image is a container image in containerd's k8s.io namespace, imported from an
// OCI archive.
type Image struct {
	Name   string `json:"name"`   // registry.k8s.io/pause:3.10.2
	Digest string `json:"digest"` // of the manifest that the archive's index names
	Blob   Blob   `json:"blob"`   // the OCI archive
}

// Kubeconfig is a kubeconfig that kubeadm wrote and that has one cluster: its
// server is this one, and nothing else of it is touched. A file that is not there
// yet is left to kubeadm.
type Kubeconfig struct {
	Path   string `json:"path"`
	Server string `json:"server"` // https://host:port
}

// Command is a program run once, when its guard says so. It is recorded when it
// begins and when it ends: one that began and never ended (power cut, lost
// connection) is interrupted, and then Recover runs first, then Argv.
type Command struct {
	Argv []string `json:"argv"` // argv[0] is a path or found on PATH; no shell
	Env  []string `json:"env,omitempty"`
	// Inputs are written to files readable by root only, for the time of the
	// run; "@{name}" in Argv and in other inputs becomes the file's path.
	Inputs map[string]Secret `json:"inputs,omitempty"`
	// Unless all of these paths exist (and the command was not interrupted).
	Unless []string `json:"unless,omitempty"`
	// EachRun: without Unless, it runs once in every run of kforge that names it,
	// not once for all.
	EachRun bool `json:"eachRun,omitempty"`
	// Recover is run before Argv after an interruption. It may be empty.
	Recover []string `json:"recover,omitempty"`
	// RecoverKeeps are files that Recover may take away and that Argv needs: they
	// are put back in between.
	RecoverKeeps []string `json:"recoverKeeps,omitempty"`
	// TimeoutSeconds, 0 means 300.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
	// Hint tells a person what to do when the command fails.
	Hint string `json:"hint,omitempty"`
}

// Secret is content that is never printed: every formatting verb gives
// "(sensitive)". It travels as it is over the wire only.
type Secret []byte

// Format prints "(sensitive)" whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "(sensitive)") }

// Action is what a change does.
type Action string

const (
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Start   Action = "start"
	Stop    Action = "stop"
	Restart Action = "restart"
	Run     Action = "run"
	Load    Action = "load"   // kernel modules
	Import  Action = "import" // images
)

// Change is one difference between what is and what should be.
type Change struct {
	Resource string `json:"resource"` // Resource.ID or object name
	Action   Action `json:"action"`
	Why      string `json:"why,omitempty"`
	Detail   string `json:"detail,omitempty"` // one line: "mode 0600 to 0644"
	Diff     string `json:"diff,omitempty"`   // unified, "" for binaries; secrets masked
	// NeedsBlobs are digests without which the change cannot be applied.
	NeedsBlobs []string `json:"needsBlobs,omitempty"`
	// Pending says why the outcome is not known yet, for a person: "containerd
	// is not there yet".
	Pending string `json:"pending,omitempty"`
}

// Bool gives a pointer, for Unit.Enabled.
func Bool(b bool) *bool { return &b }

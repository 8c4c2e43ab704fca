// Package wire is the language between kforge and kforge-agent: the frames and
// the requests. Both ends are one build, matched by content address, so there
// is no version negotiation and an unknown field or type is an error.
//
// A frame is one line of JSON, a [Header], then exactly Header.N raw bytes.
// Requests carry an id; replies, events and data frames repeat it. Requests may
// be answered out of order.
package wire

import (
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// Marks that precede the first frame of either side. Whatever a login shell
// prints before AgentMark is shown to the user and skipped; what comes before
// ClientMark (a password that sudo did not want, for example) is thrown away
// unseen.
const (
	AgentMark  = "\x00KFORGE-AGENT\n"
	ClientMark = "\x00KFORGE-CLIENT\n"
)

// Limits of frames, in bytes.
const (
	MaxHeader = 8 << 20   // a request with many small files
	ChunkSize = 256 << 10 // of bulk data
	MaxNoise  = 64 << 10  // scanned for AgentMark
	MaxRead   = 4 << 20   // of one TRead
)

// A client that has sent one TPing promises to go on every PingEvery. An agent
// that then hears nothing for DeadAfter takes its client for dead, ends its
// requests and lets go of the host lock: sshd alone may take hours to notice.
const (
	PingEvery = 15 * time.Second
	DeadAfter = 90 * time.Second
)

// Mode of a serving agent.
type Mode string

const (
	ReadOnly  Mode = "ro" // every mutating request is refused
	ReadWrite Mode = "rw" // TLock comes first
)

// Type of a frame.
type Type string

const (
	// From the agent, first of all.
	THello Type = "hello"
	// Requests that only look.
	TFacts Type = "facts"
	TPlan  Type = "plan"
	THas   Type = "has"
	TRead  Type = "read"
	TPing  Type = "ping"
	// Requests that change the host; refused in read-only mode.
	TApply Type = "apply"
	TPut   Type = "put"
	// TLock takes the host lock, and is the first request in read-write mode:
	// without it every other mutating request is refused. When somebody holds
	// the lock the reply's error is of kind locked and names the holder. The
	// lock is held until the agent ends.
	TLock Type = "lock"
	// TCancel stops the request whose id it carries; the answer is that
	// request's own reply.
	TCancel Type = "cancel"
	// From the client, with raw bytes: a piece of a put. Data under an id that
	// has been answered already is thrown away.
	TData Type = "data"
	// From the agent.
	TEvent Type = "event"
	TReply Type = "reply"
)

// Mutating reports whether a request of this type may change the host.
func (t Type) Mutating() bool { return t == TApply || t == TPut || t == TLock }

// Header is the JSON line of a frame. At most one payload is set.
type Header struct {
	ID   uint64 `json:"id,omitempty"`
	Type Type   `json:"type"`
	N    int64  `json:"n,omitempty"` // raw bytes that follow

	Hello *Hello `json:"hello,omitempty"`
	Plan  *Plan  `json:"plan,omitempty"`
	Apply *Apply `json:"apply,omitempty"`
	Put   *Put   `json:"put,omitempty"`
	Has   *Has   `json:"has,omitempty"`
	Read  *Read  `json:"read,omitempty"`
	Lock  *Lock  `json:"lock,omitempty"` // of TLock
	Probe *Probe `json:"probe,omitempty"`

	Event *Event `json:"event,omitempty"`
	Reply *Reply `json:"reply,omitempty"`
}

// Hello is the agent's first frame. When Error is set (read-write mode without
// root rights) the agent ends after it.
type Hello struct {
	Agent string      `json:"agent"` // "sha256:..." of its own executable
	Euid  int         `json:"euid"`
	Mode  Mode        `json:"mode"`
	PID   int         `json:"pid"`
	Error *diag.Error `json:"error,omitempty"`
}

// Plan asks for the changes that applying the resources would make.
type Plan struct {
	Resources []spec.Resource `json:"resources"`
}

// Apply asks to bring the resources, in order, to what they should be. The
// first failure ends the request; changes made until then are in the reply.
type Apply struct {
	Resources []spec.Resource `json:"resources"`
	Run       string          `json:"run"`     // id of the run, for the journal
	Version   string          `json:"version"` // of kforge, for the journal
}

// Put announces a blob; TData frames with its bytes follow under the same id,
// Size bytes in all. It is stored when its digest is right, else thrown away.
// The reply may come before the last byte: when the blob is there already, or
// when the disk is full. A client that gives up sends TCancel.
type Put struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Name   string `json:"name"`
}

// Has asks which of these digests are not in the blob store.
type Has struct {
	Digests []string `json:"digests"`
}

// Read asks for the first Max bytes of a regular file, at most MaxRead. A file
// that is not there is an error of kind not-found.
type Read struct {
	Path string `json:"path"`
	Max  int64  `json:"max"`
}

// Event tells of progress inside a request.
type Event struct {
	// Resource is set but for Listening; when nothing else is, work on it begins.
	Resource string `json:"resource,omitempty"`
	// At most one of these groups is used.
	Change  *spec.Change `json:"change,omitempty"` // this change was made
	Warning string       `json:"warning,omitempty"`
	Output  string       `json:"output,omitempty"` // a line printed by a command
	Done    int64        `json:"done,omitempty"`   // progress, with Total; unit bytes
	Total   int64        `json:"total,omitempty"`
	// Listening tells that the ports of a Listen are held, in its order.
	Listening []Listening `json:"listening,omitempty"`
}

// Reply ends a request.
type Reply struct {
	Error   *diag.Error   `json:"error,omitempty"`
	Facts   *facts.Host   `json:"facts,omitempty"`
	Changes []spec.Change `json:"changes,omitempty"` // plan: to make; apply: made
	Missing []string      `json:"missing,omitempty"` // has
	Content []byte        `json:"content,omitempty"` // read
	Probed  *Probed       `json:"probed,omitempty"`
}

// Lock tells who holds a host's lock. It is the content of the lock file.
type Lock struct {
	User    string `json:"user"`    // of the admin's machine
	Machine string `json:"machine"` // the admin's machine
	PID     int    `json:"pid"`     // of kforge there
	Run     string `json:"run"`
	Command string `json:"command"`
	Since   string `json:"since"` // RFC 3339
	// Ending: the client is gone and the agent is about to give the lock back.
	Ending bool `json:"ending,omitempty"`
}

// AgentPrefix and 64 hex digits of its sha256 are the agent's file name, on
// every host and in every directory that it may live in.
const AgentPrefix = "kforge-agent-"

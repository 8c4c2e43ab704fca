// Package event holds the one event type of a run. Everything that a person or
// a program learns of a run is a stream of these: the screen, the plain lines,
// the JSON output and the record on disk are all drawn from it.
package event

import (
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/spec"
)

// Type names what happened. The list is append-only: recorded runs are replayed.
type Type string

const (
	RunStart  Type = "run-start"  // Command, Cluster, Hosts, Version, User
	HostState Type = "host"       // Host is now in State; Error when unreachable
	Phase     Type = "phase"      // the run as a whole enters Title (connect, facts, plan, apply)
	Graph     Type = "graph"      // Total steps are to be done, Steps by host; Hosts has the order
	StepStart Type = "step-start" // Step of Host begins: Title
	Progress  Type = "progress"   // Step: Title now, Done of Total bytes when known
	Output    Type = "output"     // a line printed by a command of Step: Text
	Change    Type = "change"     // Change was made by Step
	StepDone  Type = "step-done"  // Step ended: Status, Seconds, Changes, Error; Text: why skipped
	Warning   Type = "warning"    // Text, Hint
	Notice    Type = "notice"     // Text: for the log, and for screens that show much
	Summary   Type = "summary"    // the last of every run
)

// Status of a step, and of a host at the end.
type Status string

const (
	OK          Status = "ok"
	Changed     Status = "changed"
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
	Skipped     Status = "skipped" // because of something else that failed, or the run was stopped
)

// States of a host while it is connected. Any other state is work in progress,
// named for a person: "connecting", "installing the agent", "reading facts".
const (
	StateReady       = "ready"
	StateUnreachable = "unreachable"
)

// Event is one thing that happened. Which fields are set depends on Event.
type Event struct {
	Seq   int       `json:"seq"`
	Time  time.Time `json:"time"`
	Event Type      `json:"event"`

	Run     string   `json:"run,omitempty"`
	Command string   `json:"command,omitempty"`
	Cluster string   `json:"cluster,omitempty"`
	Version string   `json:"version,omitempty"`
	User    string   `json:"user,omitempty"` // who started it: name@machine
	Hosts   []string `json:"hosts,omitempty"`
	// Steps is how many steps each host has; "" is the cluster.
	Steps map[string]int `json:"steps,omitempty"`

	Host  string `json:"host,omitempty"` // "" is the cluster
	State string `json:"state,omitempty"`
	Step  string `json:"step,omitempty"`
	Phase string `json:"phase,omitempty"`
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	Hint  string `json:"hint,omitempty"`

	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`

	Changes int          `json:"changes,omitempty"` // made by a step that ended
	Change  *spec.Change `json:"change,omitempty"`
	Status  Status       `json:"status,omitempty"`
	Seconds float64      `json:"seconds,omitempty"`
	Error   *diag.Error  `json:"error,omitempty"`

	*SummaryData
}

// SummaryData is what the last event of a run tells. Its JSON fields stand in
// the event itself.
type SummaryData struct {
	Changed     int `json:"changed"`     // changes made, on hosts and in the cluster
	Failed      int `json:"failed"`      // hosts with a failed step
	Unreachable int `json:"unreachable"` // hosts never reached
	Skipped     int `json:"skipped"`     // hosts whose steps were skipped because of others
	Mutating    int `json:"mutating"`    // mutating requests sent

	NotAsked []string `json:"notAsked,omitempty"` // hosts that the run was not about

	Results    []HostResult       `json:"results,omitempty"`
	Phases     map[string]float64 `json:"phases,omitempty"` // seconds of wall time by phase
	Kubeconfig string             `json:"kubeconfig,omitempty"`
	Log        string             `json:"log,omitempty"`
	Inventory  string             `json:"inventory,omitempty"` // what became of the file, for commands that write it
	Next       []string           `json:"next,omitempty"`      // what a person may do next
}

// HostResult is how a host ended.
type HostResult struct {
	Host    string      `json:"host"` // "" is the cluster
	Status  Status      `json:"status"`
	Changes int         `json:"changes"`
	Step    string      `json:"step,omitempty"` // where it failed, by title
	Seconds float64     `json:"seconds"`
	Error   *diag.Error `json:"error,omitempty"`
	// Because names, for a person, what failed elsewhere when Status is skipped.
	Because string `json:"because,omitempty"`
}

// Sink takes events. It must not block for long and is safe for concurrent use.
// Seq and Time are set by the first sink of a run, the journal.
type Sink func(Event)

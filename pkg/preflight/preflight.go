// Package preflight holds the rules that hosts, their network and the inventory
// must meet before anything is changed. It is pure: facts and measurements in,
// findings out, each with its remedy.
package preflight

import (
	"time"

	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/inventory"
)

// Severity tells whether a finding stands in the way.
type Severity string

const (
	Error   Severity = "error"   // apply does not start on this host
	Warning Severity = "warning" // told, and done anyway
	Notice  Severity = "notice"  // good to know; told by check only
)

// Finding is a rule that is not met.
type Finding struct {
	Rule     string   `json:"rule"` // "cgroup-v1", stable
	Severity Severity `json:"severity"`
	Host     string   `json:"host,omitempty"` // "" is the inventory or the fleet
	Message  string   `json:"message"`        // with the evidence
	Hint     string   `json:"hint"`           // what to do
	// Reason why the inventory tunes the rule, "" when it does not.
	Reason string `json:"reason,omitempty"`
}

// Input is what the rules look at. What was not measured is nil, and then
// nothing is said of it.
type Input struct {
	Cluster *inventory.Cluster
	// Facts by host name; hosts without facts are passed over.
	Facts map[string]*facts.Host
	// Unreachable tells why there are no facts of a host.
	Unreachable map[string]error
	// Paths are the ways between hosts, by names of the inventory.
	Paths []facts.Path
	// Lookups, Sync and Certificates by host name.
	Lookups      map[string][]facts.Lookup
	Sync         map[string]*facts.SyncTimes
	Certificates map[string][]facts.Certificate
	// NTP is what the inventory's time servers said to each host.
	NTP map[string][]facts.NTPAnswer
	// Endpoint tells by host name whether the site's load balancer takes
	// connections from it.
	Endpoint map[string]facts.PortState
	// HasArtifacts tells whether there are binaries and images for an
	// architecture ("amd64"); nil means amd64 and arm64.
	HasArtifacts func(arch string) error
	// FallbackDNS is what plan would use where a host's resolver tells nothing.
	FallbackDNS []string
	// MaxClockOffset is the error threshold, 0 means 500 ms.
	MaxClockOffset time.Duration
}

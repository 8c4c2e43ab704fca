package wire

import "kforge.dev/kforge/pkg/facts"

// TProbe asks for one measurement. It only looks: what it writes is a file
// without a name that is gone when it ends, and what it listens on is free
// again then.
const TProbe Type = "probe"

// Probe is the payload of TProbe; one of its fields is set.
type Probe struct {
	Listen  *Listen  `json:"listen,omitempty"`
	Dial    *Dial    `json:"dial,omitempty"`
	Resolve *Resolve `json:"resolve,omitempty"`
	Sync    *Sync    `json:"sync,omitempty"`
	NTP     *NTP     `json:"ntp,omitempty"`
}

// Probed is the reply to a probe.
type Probed struct {
	Paths   []facts.Path      `json:"paths,omitempty"`   // dial: one per target, in order
	Lookups []facts.Lookup    `json:"lookups,omitempty"` // names, then addresses, in order
	Sync    *facts.SyncTimes  `json:"sync,omitempty"`
	NTP     []facts.NTPAnswer `json:"ntp,omitempty"` // in order
}

// Listen holds ports open, and answers who knows the nonce, until it is
// cancelled or the time is up. An event with the state of each port, in order,
// tells that it has begun.
type Listen struct {
	Address string       `json:"address"` // IPv4 address of the host
	Ports   []facts.Port `json:"ports"`   // port 0 is any free one
	Nonce   string       `json:"nonce"`   // 16 characters, only once used
	Seconds float64      `json:"seconds"` // at most 60
}

// Listening is the state of one port of a Listen.
type Listening struct {
	facts.Port        // with the number that was taken for 0
	Held       bool   `json:"held,omitempty"`  // somebody has it already
	Error      string `json:"error,omitempty"` // why it is not open
}

// Dial measures the ways to other hosts, all at once.
type Dial struct {
	Targets []Target `json:"targets"`
	Nonce   string   `json:"nonce"`
	Seconds float64  `json:"seconds"` // for one port
}

// Target is a host to dial. The first UDP port that is not held also measures
// the path's MTU, when that is asked for.
type Target struct {
	Address string       `json:"address"`
	Ports   []TargetPort `json:"ports"`
	MTU     bool         `json:"mtu,omitempty"`
}

// TargetPort is a port to reach. Of a held one only the connection is made, and
// nothing is sent: it is somebody else's.
type TargetPort struct {
	facts.Port
	Held bool `json:"held,omitempty"`
}

// Resolve asks the host's own resolver, hosts file and all.
type Resolve struct {
	Names     []string `json:"names,omitempty"`
	Addresses []string `json:"addresses,omitempty"` // reverse
	Seconds   float64  `json:"seconds"`             // for all of them together
}

// NTP asks time servers, names or addresses, for the time. It sets nothing.
type NTP struct {
	Servers []string `json:"servers"`
	Seconds float64  `json:"seconds"` // for all of them together
}

// Sync measures the disk under a directory, or under its nearest parent that is
// there.
type Sync struct {
	Path    string  `json:"path"`
	Samples int     `json:"samples"`
	Seconds float64 `json:"seconds"` // at most
}

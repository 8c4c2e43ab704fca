package facts

// What hosts measure of each other and of their own surroundings, on request.
// Times are seconds.

// Port is a TCP or UDP port.
type Port struct {
	Proto string `json:"proto"` // tcp, udp
	Port  int    `json:"port"`
}

// Path is what one host measured of the way to another. What could not be
// measured is zero.
type Path struct {
	From  string      `json:"from,omitempty"` // names of the inventory
	To    string      `json:"to,omitempty"`
	Ports []PortState `json:"ports,omitempty"`
	// Source is the address that the kernel sends from, SeenAs the one that
	// the other host saw.
	Source string `json:"source,omitempty"`
	SeenAs string `json:"seenAs,omitempty"`
	// RoundTrip is the shortest of a few, by UDP or else by TCP handshake.
	RoundTrip float64 `json:"roundTrip,omitempty"`
	// MTU is that of the interface the way begins with; PathMTU is the largest
	// packet that came through undivided.
	MTU     int `json:"mtu,omitempty"`
	PathMTU int `json:"pathMTU,omitempty"`
	// HopsThere and HopsBack count routers, by the packets' time to live. Only
	// their difference tells something: -1 is unknown.
	HopsThere int `json:"hopsThere"`
	HopsBack  int `json:"hopsBack"`
}

// PortState tells whether a port was reached.
type PortState struct {
	Port
	// Held: something that was there before answers, or no answer can tell
	// (UDP): nothing of ours listened.
	Held bool `json:"held,omitempty"`
	Open bool `json:"open"`
	// Error is refused, no answer, no route, or the system's word.
	Error string `json:"error,omitempty"`
}

// Lookup is what the host's own resolver says of a name or an address.
type Lookup struct {
	Question string   `json:"question"` // name, or address for a reverse lookup
	Answers  []string `json:"answers,omitempty"`
	// Missing: servers answered that there is no such thing. Without answers
	// and not missing, Error tells why.
	Missing bool   `json:"missing,omitempty"`
	Error   string `json:"error,omitempty"`
}

// NTPAnswer is what a time server says when it is asked by the host.
type NTPAnswer struct {
	Server  string `json:"server"`
	Stratum int    `json:"stratum,omitempty"` // 1 to 15 of a server that knows the time
	// OffsetSeconds is how far the server is ahead of the host.
	OffsetSeconds float64 `json:"offsetSeconds,omitempty"`
	Error         string  `json:"error,omitempty"` // why there is no answer
}

// SyncTimes are how long fdatasync takes after a write of 2300 bytes, as etcd's
// log writes them.
type SyncTimes struct {
	Path    string  `json:"path"` // directory that was measured
	Samples int     `json:"samples"`
	Median  float64 `json:"median"`
	P99     float64 `json:"p99"`
	Max     float64 `json:"max"`
}

// Certificate is one that a control plane holds, by the times it is valid.
type Certificate struct {
	Path      string  `json:"path"`
	NotBefore float64 `json:"notBefore"` // Unix time
	NotAfter  float64 `json:"notAfter"`
}

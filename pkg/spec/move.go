package spec

// Move renames From to To, both on one file system. It is done when From is not
// there and To is. What stands at To before is kept under the name Keep; without
// a Keep it is an error of kind foreign. Nothing is ever deleted.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
	Keep string `json:"keep,omitempty"`
}

// Ended holds when nothing answers at any of the addresses (host:port, as seen
// from the host), and nothing fits the patterns of paths, any more. It stops
// nothing itself: it waits for what another resource told to end.
type Ended struct {
	Addresses []string `json:"addresses,omitempty"`
	Paths     []string `json:"paths,omitempty"`
	// TimeoutSeconds until the wait fails, 0 means 120.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

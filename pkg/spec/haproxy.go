package spec

// HAProxy is one in master-worker mode that works with the configuration of a
// digest. It is reloaded, which closes no listener and no connection; where none
// runs there is nothing to do, since it reads its configuration at its start.
type HAProxy struct {
	// Socket is its master's command line: a Unix socket.
	Socket string `json:"socket"`
	// Digest stands in the configuration as its description.
	Digest string `json:"digest"`
}

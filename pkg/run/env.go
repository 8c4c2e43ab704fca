// Package run holds the use cases: what each command of kforge does, from the
// inventory to the last event. Each reads like a table of contents; how a thing
// is done is told elsewhere.
package run

import (
	"context"
	"os"
	"os/user"
	"time"

	"kforge.dev/kforge/pkg/agentbin"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/spec"
	"kforge.dev/kforge/pkg/ui"
)

// Env is the world around a run. The command line makes it; tests make theirs.
type Env struct {
	Version string
	Agents  *agentbin.Set
	// StateDir holds the records of runs, CacheDir the artifacts; "" for the
	// user's own.
	StateDir, CacheDir string
	// SSHConfig is the user's ssh_config; "" reads none.
	SSHConfig string
	UseAgent  bool // of SSH_AUTH_SOCK

	Renderers []ui.Renderer
	// Stop, when closed, lets running steps end and starts no more.
	Stop <-chan struct{}
	// Backoff is the pause before a step's attempt n+1; nil for the engine's own.
	Backoff func(n int) time.Duration

	// Confirm shows a plan and asks for a yes. nil: there is nobody to ask.
	Confirm func(ctx context.Context, p ui.PlanView) (bool, error)
	// Passphrase asks for a key's passphrase. nil: there is nobody to ask.
	Passphrase func(ctx context.Context, file string) ([]byte, error)
	// SudoPassword asks for the login user's password. nil: never ask.
	SudoPassword func(ctx context.Context, host string) (spec.Secret, error)
}

// Options of the commands that work on a cluster.
type Options struct {
	Inventory string
	// Bundle is an archive that holds all artifacts; "" fetches them.
	Bundle string
	Yes    bool // consent was given
	// Limit and Skip choose hosts, see inventory.Cluster.Select.
	Limit, Skip []string
	// MaxFailures: once so many steps failed, nothing new starts. 0 is no limit.
	MaxFailures int
	// Parallel bounds what is done at one time by kind of work: dial, upload,
	// import, join.
	Parallel map[string]int
}

// holder is how this run names itself to whoever finds a lock.
func holder(command string) (userName, machine string) {
	userName, machine = os.Getenv("USER"), "unknown"
	if u, err := user.Current(); err == nil {
		userName = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		machine = h
	}
	return userName, machine
}

// stopwatch measures the phases before the graph starts.
type stopwatch struct {
	sink   event.Sink
	phases map[string]float64
}

func (w *stopwatch) time(title string, f func() error) error {
	w.sink(event.Event{Event: event.Phase, Title: title})
	start := time.Now()
	err := f()
	w.phases[title] += time.Since(start).Seconds()
	return err
}

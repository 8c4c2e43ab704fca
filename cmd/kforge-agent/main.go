// Command kforge-agent is the host's side of kforge. It is started over SSH by
// kforge, speaks on its standard streams, and ends with them; nobody needs to
// run it by hand.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kforge.dev/kforge/pkg/agent"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Caught and not ignored, so that children get the default back: a client
	// that went away must end us by end of input, after our children.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	code := agent.Main(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

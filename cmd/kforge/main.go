// Command kforge turns bare-metal machines into a Kubernetes cluster.
package main

import (
	"context"
	"os"

	"kforge.dev/kforge/pkg/cli"
)

func main() {
	os.Exit(cli.Main(context.Background(), cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args[1:]))
}

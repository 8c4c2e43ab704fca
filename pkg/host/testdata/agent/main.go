// Command agent is kforge-agent on a root directory named by $KFORGE_TEST_ROOT,
// so that tests start it as a host would without touching the machine.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"kforge.dev/kforge/pkg/agent"
	"kforge.dev/kforge/pkg/wire"
)

func main() {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) < 4 || os.Args[1] != "serve" {
		return // version
	}
	sum := sha256.Sum256(self)
	err = agent.Serve(context.Background(), agent.Options{
		Root:   os.Getenv("KFORGE_TEST_ROOT"),
		Mode:   wire.Mode(os.Args[3]),
		Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Log:    os.Stderr,
	}, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

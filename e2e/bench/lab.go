package main

import (
	"context"
	"fmt"
	"io"

	"kforge.dev/kforge/e2e/lab/artifact"
	"kforge.dev/kforge/e2e/lab/site"
)

// labPart is what was measured on the lab.
type labPart struct {
	description
	Versions artifact.Versions
	Agents   map[string]int // bytes, by architecture
	Pairs    []pair
}

func measureLab(ctx context.Context, o options, stdout io.Writer) error {
	sizes, err := agentSizes()
	if err != nil {
		return err
	}
	b := &bench{kforge: o.kforge, log: o.stderr}
	if b.lab, err = site.Up(ctx, b.options()); err != nil {
		return err
	}
	if err := b.warm(ctx); err != nil {
		return err
	}
	for i := range o.pairs {
		fmt.Fprintf(o.stderr, "pair %d of %d\n", i+1, o.pairs)
		if err := b.pair(ctx); err != nil {
			return fmt.Errorf("measure pair %d: %w", i+1, err)
		}
	}
	part := labPart{description: o.description, Versions: b.lab.Versions, Agents: sizes, Pairs: b.pairs}
	return finish(o, stdout, "lab", part, part.figures())
}

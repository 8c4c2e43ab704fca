package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"kforge.dev/kforge/e2e/lab/site"
	"kforge.dev/kforge/e2e/lab/vm"
)

// machines is the verb vm: virtual machines beside the containers.
func machines(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return misused(stderr, "vm wants up, down or reboot")
	}
	verb := args[0]
	o := site.Options{Log: stderr}
	flags := flag.NewFlagSet("lab vm "+verb, flag.ContinueOnError)
	flags.SetOutput(stderr)
	n := flags.Int("n", 1, "number of virtual machines")
	disks := flags.String("disks", "", "raw disks of each, such as 2x1G")
	memory := flags.String("memory", "1G", "memory of each")
	flags.StringVar(&o.State, "state", "", "state directory (default .lab of the module)")
	flags.StringVar(&o.Cache, "cache", "", "cache of artifacts (default $KFORGE_LAB_CACHE)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch rest := flags.Args(); verb {
	case "up":
		raw, err := vm.ParseDisks(*disks)
		if err != nil {
			return err
		}
		hosts, err := site.UpVMs(ctx, o, *n, vm.Options{Memory: *memory, Disks: raw})
		if err != nil {
			return err
		}
		for _, h := range hosts {
			fmt.Fprintf(stdout, "%s\t%s\n", h.Name, h.Address)
		}
		return nil
	case "down":
		return site.DownVMs(ctx, o, rest...)
	case "reboot":
		if len(rest) != 1 {
			return errors.New("usage: lab vm reboot HOST")
		}
		h, err := site.Host(ctx, o, rest[0])
		if err != nil {
			return err
		}
		return h.Reboot(ctx)
	default:
		return misused(stderr, fmt.Sprintf("unknown verb vm %q", verb))
	}
}

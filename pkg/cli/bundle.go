package cli

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/bundle"
	"kforge.dev/kforge/pkg/run"
	"kforge.dev/kforge/pkg/ui"
)

func (a *app) bundle() *cobra.Command {
	c := &cobra.Command{Use: "bundle", Short: "all artifacts of a cluster in one file, for sites without internet"}
	c.AddCommand(a.bundleCreate(), a.bundleInspect(), a.bundleVerify())
	return c
}

func (a *app) bundleCreate() *cobra.Command {
	var o run.BundleOptions
	c := &cobra.Command{
		Use:   "create FILE",
		Short: "fetch every binary and image and write one archive",
		Example: `  kforge bundle create cluster.bundle
  kforge bundle create cluster.bundle -i lab.yaml
  kforge bundle create all.bundle --kubernetes 1.36,1.37 --arch amd64,arm64 --mirror https://mirror.example.org`,
		Args: one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			for _, arch := range o.Arches {
				if err := oneOf("arch", arch, "amd64", "arm64"); err != nil {
					return err
				}
			}
			o.Out, o.Inventory = args[0], a.inventory
			err := run.BundleCreate(c.Context(), &run.Env{}, o, func(p bundle.Progress) {
				if p.Finished && !p.Cached {
					fmt.Fprintf(a.streams.Err, "fetched %s\n", p.Item)
				}
			})
			if err != nil {
				return err
			}
			entries, err := bundle.Inspect(o.Out)
			if err != nil {
				return err
			}
			var size int64
			for _, e := range entries {
				size += e.Size
			}
			fmt.Fprintf(a.streams.Out, "wrote %s: %d artifacts, %d MiB\nnext: kforge apply --bundle %s INVENTORY\n", o.Out, len(entries), size>>20, o.Out)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&o.Mirror, "mirror", "", "base `URL` of a mirror laid out like the official sites, or official (default: the inventory's, else official)")
	f.StringSliceVar(&o.Versions, "kubernetes", nil, "Kubernetes `versions` (default: the inventory's, else the newest proved)")
	f.StringSliceVar(&o.Arches, "arch", []string{"amd64"}, "`architectures`: amd64, arm64")
	f.BoolVar(&o.Update, "update", false, "take what the source gives now in place of what the lock file says")
	return c
}

func (a *app) bundleInspect() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "list what a bundle holds",
		Args:  one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("output", output, "table", "json"); err != nil {
				return err
			}
			entries, err := bundle.Inspect(args[0])
			if err != nil {
				return err
			}
			return a.entries(entries, output)
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "table", "`format`: table or json")
	return c
}

func (a *app) bundleVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "read a whole bundle and check every digest",
		Args:  one("FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			entries, err := bundle.Verify(c.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(a.streams.Out, "%s: all %d artifacts are as their digests say\n", args[0], len(entries))
			return nil
		},
	}
}

func (a *app) entries(entries []bundle.Entry, output string) error {
	if output == "json" {
		enc := json.NewEncoder(a.streams.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(entries)
	}
	var rows [][]string
	for _, e := range entries {
		rows = append(rows, []string{e.Name, e.Version, e.Arch, string(e.Kind), strconv.FormatInt(e.Size, 10), e.SHA256})
	}
	return ui.Table(a.streams.Out, []string{"NAME", "VERSION", "ARCH", "KIND", "BYTES", "SHA256"}, rows, a.uiOptions(a.streams.Out))
}

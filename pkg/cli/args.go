package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"kforge.dev/kforge/pkg/diag"
)

// one wants exactly one argument, called what in the usage line.
func one(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return diag.New(diag.Invalid, "", "%s is missing", what)
		case 1:
			return nil
		}
		return diag.New(diag.Invalid, "", "one %s is wanted, and these were given: %s", what, strings.Join(args, " "))
	}
}

// atMostOne wants one argument or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return one(what)(c, args)
	}
}

func none(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return diag.New(diag.Invalid, "", "no argument is wanted, and these were given: %s", strings.Join(args, " "))
	}
	return nil
}

// strictArgs makes bad arguments errors of kind invalid, as bad flags are, and
// an unknown command an error with the nearest known one.
func strictArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
	if c.Name() == "help" {
		c.RunE, c.Run = help, nil
		return
	}
	if check := c.Args; check != nil && !c.HasSubCommands() {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return diag.Wrap(diag.Invalid, "", err).WithHint("see `%s --help`", c.CommandPath())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil && c.Run == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		}
	}
}

func unknownCommand(c *cobra.Command, name string) error {
	maybe := ""
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(name); len(near) > 0 {
		maybe = " (did you mean " + strings.Join(near, " or ") + "?)"
	}
	return diag.New(diag.Invalid, "", "unknown command %q for %q%s", name, c.CommandPath(), maybe).WithHint("see `%s --help`", c.CommandPath())
}

// help is the command of that name: cobra's own ends well for unknown topics.
func help(c *cobra.Command, args []string) error {
	at := c.Root()
	for _, name := range args {
		next, _, err := at.Find([]string{name})
		if err != nil || next == at {
			return unknownCommand(at, name)
		}
		at = next
	}
	at.InitDefaultHelpFlag()
	at.InitDefaultVersionFlag()
	return at.Help()
}

func oneOf(flag, value string, allowed ...string) error {
	for _, v := range allowed {
		if value == v {
			return nil
		}
	}
	return diag.New(diag.Invalid, "", "--%s is %q, and takes one of %s", flag, value, strings.Join(allowed, ", "))
}

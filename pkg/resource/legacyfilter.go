package resource

import (
	"context"
	"os"
	"slices"
	"strings"
)

// legacyRules are chains of ours in a table of the old packet filter, which has
// no other door than its own program.
type legacyRules struct {
	program string // iptables-legacy
	table   string
	chains  []string
	jumps   []string // rules of other chains, as the program prints them
}

// legacy asks the old programs, where the kernel has such tables at all.
func (k noFilterKind) legacy(ctx context.Context, s *session) ([]legacyRules, error) {
	var out []legacyRules
	for _, family := range []struct{ names, program string }{
		{"/proc/net/ip_tables_names", "iptables-legacy"}, {"/proc/net/ip6_tables_names", "ip6tables-legacy"},
	} {
		raw, err := os.ReadFile(s.path(family.names))
		if err != nil || strings.TrimSpace(string(raw)) == "" {
			continue
		}
		if s.find(family.program+"-save") == "" {
			if !s.planning {
				s.warn("the kernel has tables of the old packet filter, and there is no %s-save to look into them: chains of Kubernetes in them go with the next boot", family.program)
			}
			continue
		}
		text, err := run(ctx, s.Runner, family.program+"-save")
		if err != nil {
			return nil, err
		}
		out = append(out, k.parse(family.program, text)...)
	}
	return out, nil
}

// parse reads what iptables-save prints.
func (k noFilterKind) parse(program, text string) []legacyRules {
	var out []legacyRules
	at := legacyRules{program: program}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			at = legacyRules{program: program, table: line[1:]}
		case strings.HasPrefix(line, ":"):
			if name, _, _ := strings.Cut(line[1:], " "); k.names(name) {
				at.chains = append(at.chains, name)
			}
		case strings.HasPrefix(line, "-A "):
			f := strings.Fields(line)
			if len(f) < 3 || slices.Contains(at.chains, f[1]) {
				continue
			}
			for i := 2; i+1 < len(f); i++ {
				if (f[i] == "-j" || f[i] == "-g") && slices.Contains(at.chains, f[i+1]) {
					at.jumps = append(at.jumps, line)
				}
			}
		case line == "COMMIT" && len(at.chains) > 0:
			out = append(out, at)
		}
	}
	return out
}

// remove takes them away in one transaction, and leaves all else.
func (l legacyRules) remove(ctx context.Context, s *session) error {
	var b strings.Builder
	b.WriteString("*" + l.table + "\n")
	for _, j := range l.jumps {
		b.WriteString("-D" + strings.TrimPrefix(j, "-A") + "\n")
	}
	for _, verb := range []string{"-F ", "-X "} {
		for _, ch := range l.chains {
			b.WriteString(verb + ch + "\n")
		}
	}
	b.WriteString("COMMIT\n")
	argv := []string{l.program + "-restore", "--noflush"}
	res, err := s.Runner.Run(ctx, Cmd{Argv: argv, Stdin: strings.NewReader(b.String())})
	if err == nil && res.Code != 0 {
		err = failed(argv, res)
	}
	return err
}

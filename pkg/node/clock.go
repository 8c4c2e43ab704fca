package node

import (
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// Clock gives what makes a host's time daemon ask the servers: a file of ours
// beside its configuration, and the daemon running with it. Main files belong
// to somebody else: where the daemon reads nothing beside its own, or there is
// none, that is an error of kind Unsupported which says what to do. No servers,
// and servers that somebody named there already, need nothing.
func Clock(servers []string, t facts.Time, timeoutScale float64) ([]spec.Resource, error) {
	const op = "set time servers"
	if len(servers) == 0 {
		return nil, nil
	}
	if t.Daemon == "" {
		return nil, diag.New(diag.Unsupported, op, "there is no time daemon on the host").
			WithHint("install one from your distribution's packages (chrony, or systemd-timesyncd) and run the same again")
	}
	if t.DropIn == "" {
		if !slices.ContainsFunc(servers, func(s string) bool { return !slices.Contains(t.Configured, s) }) {
			return nil, nil
		}
		return nil, diag.New(diag.Unsupported, op, "the configuration of %s reads no folder that a file of kforge could be in", t.Daemon).
			WithHint("add to the configuration of %s on the host, and restart it: %s", t.Daemon, strings.Join(serverLines(servers, ""), "; "))
	}
	return []spec.Resource{
		file(t.DropIn, 0o644, timeFile(t.DropIn, servers), "time servers of the inventory"),
		{
			ID: "unit " + t.Unit, Why: "the clock is kept",
			Unit: &spec.Unit{
				Name: t.Unit, Enabled: spec.Bool(true), State: "running",
				RestartOn: []string{t.DropIn}, TimeoutSeconds: Scale(90, timeoutScale),
			},
		},
	}, nil
}

// timeFile is in the form of chrony or, by its place, of systemd-timesyncd.
func timeFile(path string, servers []string) []byte {
	lines := []string{spec.Header}
	if strings.HasPrefix(path, "/etc/systemd/") {
		// An empty list takes away what was configured: the daemon asks the
		// first server that answers, and knows no preference.
		lines = append(lines, "[Time]", "NTP=", "NTP="+strings.Join(servers, " "))
	} else {
		lines = append(lines, serverLines(servers, " prefer")...)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

func serverLines(servers []string, options string) []string {
	var out []string
	for _, s := range servers {
		out = append(out, "server "+s+" iburst"+options)
	}
	return out
}

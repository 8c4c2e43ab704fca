package node

import (
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/spec"
)

// Clock gives what makes a host's time daemon ask the servers: a file of ours
// beside its configuration, and the daemon running with it. Where there is no
// daemon, Debian's chrony is installed. Main files belong to somebody else: where
// the daemon reads nothing beside its own, that is an error of kind Unsupported
// which says what to do. No servers, and servers that somebody named there
// already, need nothing.
func Clock(servers []string, f *facts.Host, timeoutScale float64) ([]spec.Resource, error) {
	const op = "set time servers"
	if len(servers) == 0 {
		return nil, nil
	}
	t := f.Time
	var first []spec.Resource
	switch {
	case t.Daemon == "" && f.OS.PackageManager == "apt-get":
		first = installChrony(timeoutScale)
		t.Unit, t.DropIn = "chrony.service", "/etc/chrony/sources.d/kforge.sources"
	case t.Daemon == "":
		return nil, diag.New(diag.Unsupported, op, "there is no time daemon on the host").
			WithHint("install one from your distribution's packages (`dnf install chrony`) and run the same again")
	}
	if t.DropIn == "" {
		if !slices.ContainsFunc(servers, func(s string) bool { return !slices.Contains(t.Configured, s) }) {
			return nil, nil
		}
		return nil, diag.New(diag.Unsupported, op, "the configuration of %s reads no folder that a file of kforge could be in", t.Daemon).
			WithHint("add to the configuration of %s on the host, and restart it: %s", t.Daemon, strings.Join(serverLines(servers, ""), "; "))
	}
	return append(first,
		file(t.DropIn, 0o644, timeFile(t.DropIn, servers), "time servers of the inventory"),
		spec.Resource{
			ID: "unit " + t.Unit, Why: "the clock is kept",
			Unit: &spec.Unit{
				Name: t.Unit, Enabled: spec.Bool(true), State: "running",
				RestartOn: []string{t.DropIn}, TimeoutSeconds: Scale(90, timeoutScale),
			},
		},
	), nil
}

// installChrony has the distribution install its daemon: the one package that
// kforge takes from there, and only where time servers are asked for.
func installChrony(timeoutScale float64) []spec.Resource {
	apt := func(id, why string, argv ...string) spec.Resource {
		return spec.Resource{ID: "command " + id, Why: why, Command: &spec.Command{
			Argv: append([]string{"apt-get", "-q", "-y"}, argv...), Env: []string{"DEBIAN_FRONTEND=noninteractive"},
			Unless: []string{"/usr/sbin/chronyd"}, Recover: []string{"dpkg", "--configure", "-a"},
			TimeoutSeconds: Scale(600, timeoutScale),
			Hint:           "the host needs Debian's packages in reach for this; or install a time daemon there by other means and apply again",
		}}
	}
	return []spec.Resource{
		apt("apt-get update", "where chrony is to be had", "update"),
		apt("apt-get install chrony", "there is no time daemon on the host", "install", "--no-install-recommends", "chrony"),
	}
}

// timeFile is in the form of chrony and ntpsec or, by its place, of systemd-timesyncd.
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

package resource

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/resource/record"
	"kforge.dev/kforge/pkg/spec"
)

// startSlack is how much later than its inputs a unit must have started to be
// believed to have read them: file times come from a clock of 4 to 10 ms.
const startSlack = 20 * time.Millisecond

type unitKind struct{ want *spec.Unit }

type unitState struct {
	want   *spec.Unit
	is     unitStatus
	inputs inputs
	stale  string // why it must be restarted; "" when it need not
	fresh  bool   // the record is as it should be
	onDisk bool   // a unit file is there, whether systemd has read it or not
}

func (k unitKind) observe(ctx context.Context, s *session) (observed, error) {
	switch k.want.State {
	case "", "running", "stopped", "forgotten":
	default:
		return nil, diag.New(diag.Invalid, "check unit", "state %q is none of running, stopped, forgotten", k.want.State)
	}
	is, err := s.unitStatus(ctx, k.want.Name)
	if err != nil {
		return nil, err
	}
	if k.want.Enabled != nil && is.load != "not-found" && *k.want.Enabled != is.enabled() {
		// systemd remembers this property until a reload; is-enabled reads the disk.
		res, err := s.Runner.Run(ctx, Cmd{Argv: []string{"systemctl", "is-enabled", k.want.Name}})
		if err != nil {
			return nil, err
		}
		is.file = strings.TrimSpace(res.Stdout)
	}
	st := &unitState{want: k.want, is: is, onDisk: fileThere(s, k.want.Name)}
	if k.want.State == "stopped" || k.want.State == "forgotten" || len(k.want.RestartOn) == 0 {
		st.fresh = true
		return st, nil
	}
	if st.inputs, err = s.readInputs(ctx, k.want.RestartOn); err != nil {
		return nil, err
	}
	rec, err := s.records.Unit(k.want.Name)
	if err != nil {
		return nil, err
	}
	st.judge(s, rec)
	return st, nil
}

// judge decides whether a running unit has read its inputs as they are now.
func (st *unitState) judge(s *session, rec *record.Unit) {
	if !st.is.running() {
		return
	}
	same := rec != nil && rec.BootID == s.bootID && rec.Invocation == st.is.invocation
	if rec != nil && rec.Inputs == st.inputs.digest {
		st.fresh = same
		return
	}
	// Somebody else may have started it since: then it has read them if it
	// started after they were written. Our own start is known not to have.
	started := s.Now().Add(st.is.started - s.Uptime())
	if !same && st.is.started > 0 && started.After(st.inputs.newest.Add(startSlack)) {
		return
	}
	st.stale = "its configuration changed after it was started"
}

func (st *unitState) diff(s *session) ([]spec.Change, error) {
	w := st.want
	var changes []spec.Change
	add := func(a spec.Action, detail, why string) {
		changes = append(changes, spec.Change{Action: a, Detail: detail, Why: why})
	}
	missing := st.is.load == "not-found"
	if missing && !s.planning && (w.State == "running" || w.Enabled != nil && *w.Enabled) && !st.onDisk {
		return nil, diag.New(diag.NotFound, "find unit "+w.Name, "systemd knows no such unit")
	}
	if st.is.load == "masked" && (w.State == "running" || w.Enabled != nil && *w.Enabled) {
		return nil, diag.New(diag.Foreign, "", "unit %s is masked", w.Name).WithHint("systemctl unmask %s", w.Name)
	}
	changesFile := s.willChange("/etc/systemd/system/"+w.Name) || s.willChange("/etc/systemd/system/"+w.Name+".d")
	if w.State != "forgotten" && (st.is.needReload || changesFile && !missing) {
		add(spec.Update, "daemon-reload", "its unit file changed")
	}
	if w.Enabled != nil {
		switch {
		case *w.Enabled && !st.is.enabled():
			add(spec.Update, "enable", "")
		case !*w.Enabled && st.is.disableable():
			add(spec.Update, "disable", "")
		}
	}
	switch w.State {
	case "running":
		switch {
		case !st.is.running():
			c := spec.Change{Action: spec.Start, Detail: "is " + st.is.describe()}
			if missing && s.planning {
				c.Pending = "the unit file is not there yet"
			}
			changes = append(changes, c)
		case st.stale != "":
			add(spec.Restart, "", st.stale)
		default:
			if p := st.willRestart(s); p != "" {
				add(spec.Restart, "", p+" changes")
			}
		}
	case "":
		if st.is.running() && st.stale != "" {
			add(spec.Restart, "", st.stale)
		} else if p := st.willRestart(s); st.is.running() && p != "" {
			add(spec.Restart, "", p+" changes")
		}
	case "stopped", "forgotten":
		if st.is.active != "inactive" && st.is.active != "failed" && !missing {
			add(spec.Stop, "is "+st.is.describe(), "")
		}
		// systemd knows every slice, whether there is a file for it or not.
		known := !missing && !strings.HasSuffix(w.Name, ".slice")
		if w.State == "forgotten" && !st.onDisk && (known || st.is.active == "failed") && !(s.planning && st.is.running()) {
			add(spec.Update, "forget", "its unit file is gone")
		}
	}
	return changes, nil
}

// willRestart gives the input that an earlier resource of the plan changes.
func (st *unitState) willRestart(s *session) string {
	for _, p := range st.want.RestartOn {
		if s.willChange(p) {
			return p
		}
	}
	return ""
}

// fileThere tells whether a unit file is on disk that systemd has not read yet.
func fileThere(s *session, name string) bool {
	names := []string{name}
	if at, dot := strings.Index(name, "@"), strings.LastIndex(name, "."); at > 0 && dot > at {
		names = append(names, name[:at+1]+name[dot:])
	}
	for _, dir := range []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		for _, n := range names {
			if s.exists(filepath.Join(dir, n)) {
				return true
			}
		}
	}
	return false
}

func (st *unitState) apply(ctx context.Context, s *session) error {
	w := st.want
	changes, err := st.diff(s)
	if err != nil {
		return err
	}
	// Old systemd does not find a new unit file by itself.
	if st.is.load == "not-found" && st.onDisk {
		if _, err := run(ctx, s.Runner, "systemctl", "daemon-reload"); err != nil {
			return err
		}
	}
	timeout := time.Duration(w.TimeoutSeconds) * time.Second
	if timeout == 0 {
		timeout = 90 * time.Second
	}
	for _, c := range changes {
		var err error
		switch {
		case c.Detail == "daemon-reload":
			_, err = run(ctx, s.Runner, "systemctl", "daemon-reload")
		case c.Detail == "forget":
			if _, err = run(ctx, s.Runner, "systemctl", "daemon-reload"); err == nil && st.is.active == "failed" {
				_, err = run(ctx, s.Runner, "systemctl", "reset-failed", w.Name)
			}
		case c.Detail == "enable" || c.Detail == "disable":
			// --no-reload: daemon-reload is a hazard under live GPU pods.
			_, err = run(ctx, s.Runner, "systemctl", "--no-reload", c.Detail, w.Name)
		case c.Action == spec.Start:
			if st.is.active == "failed" { // its start limit may be used up
				if _, err = run(ctx, s.Runner, "systemctl", "reset-failed", w.Name); err != nil {
					break
				}
			}
			err = s.job(ctx, "start", w.Name, timeout)
		case c.Action == spec.Restart:
			err = s.job(ctx, "restart", w.Name, timeout)
		case c.Action == spec.Stop:
			err = s.job(ctx, "stop", w.Name, timeout)
		}
		if err != nil {
			return err
		}
	}
	return st.remember(ctx, s)
}

// job runs a blocking systemctl verb and checks the state that it leads to.
func (s *session) job(ctx context.Context, verb, name string, timeout time.Duration) error {
	jctx, cancel := context.WithTimeoutCause(ctx, timeout,
		diag.New(diag.Timeout, "systemctl "+verb+" "+name, "not done after %s", timeout).WithHint("journalctl -u %s", name))
	defer cancel()
	_, err := run(jctx, s.Runner, "systemctl", verb, name)
	if err == nil && verb != "stop" {
		s.units = nil
		var is unitStatus
		if is, err = s.unitStatus(ctx, name); err == nil && !is.running() {
			err = diag.New(diag.Command, "systemctl "+verb+" "+name, "the unit is %s", is.describe())
		}
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	// The context of the job may be over; what the unit said is still wanted.
	lctx, lcancel := context.WithTimeout(ctx, 10*time.Second)
	defer lcancel()
	log, lerr := run(lctx, s.Runner, "journalctl", "-u", name, "-n", "20", "--no-pager", "-o", "short-iso")
	if lerr != nil {
		log = "(no journal: " + lerr.Error() + ")"
	}
	e := diag.Wrap(diag.KindOf(err), "", fmt.Errorf("%w\nlast lines of its journal:\n%s", err, strings.TrimSpace(log)))
	return e.WithHint("journalctl -u %s on that host tells more", name)
}

// remember records what the unit was started with, for the next run.
func (st *unitState) remember(ctx context.Context, s *session) error {
	if st.want.State == "stopped" || st.want.State == "forgotten" || len(st.want.RestartOn) == 0 {
		return nil
	}
	s.units = nil
	is, err := s.unitStatus(ctx, st.want.Name)
	if err != nil || !is.running() {
		return err
	}
	return s.records.SaveUnit(record.Unit{
		Name: st.want.Name, Inputs: st.inputs.digest, Invocation: is.invocation, BootID: s.bootID,
	})
}

// adopt records a unit that was started by somebody else with the inputs that
// are there now.
func (st *unitState) adopt(s *session) error {
	if st.fresh || !st.is.running() {
		return nil
	}
	return s.records.SaveUnit(record.Unit{
		Name: st.want.Name, Inputs: st.inputs.digest, Invocation: st.is.invocation, BootID: s.bootID,
	})
}

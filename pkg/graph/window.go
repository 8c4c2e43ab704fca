package graph

// window is what a Limits.Window bounds: hosts that are out of service. A host is
// in it from the start of its first step that names the window to the end of its
// last. One that fails inside stays inside, and shuts the window: who has not
// entered does not. One that is slow gives its place to another while it works on.
type window struct {
	inside map[string]bool
	slow   map[string]bool // are in the middle, without a place
	left   map[string]int  // steps of a host that have not ended
	shut   string          // id of the step that failed inside
}

func newWindows(steps []Step) map[string]*window {
	out := map[string]*window{}
	for _, s := range steps {
		if s.Window == "" {
			continue
		}
		if out[s.Window] == nil {
			out[s.Window] = &window{inside: map[string]bool{}, slow: map[string]bool{}, left: map[string]int{}}
		}
		out[s.Window].left[s.Host]++
	}
	return out
}

// admits tells whether a host may work inside now. Who was slow comes back to an
// end that is in sight, also when the window was shut meanwhile: its work is half
// done, and nobody makes room any more.
func (w *window) admits(host string, limit int) bool {
	return w.inside[host] || limit <= 0 || len(w.inside) < limit || w.slow[host] && w.shut != ""
}

func (w *window) enter(host string) {
	delete(w.slow, host)
	w.inside[host] = true
}

// ended counts a step of a host that ended well.
func (w *window) ended(host string) {
	w.left[host]--
	if w.left[host] == 0 {
		delete(w.inside, host)
		delete(w.slow, host)
	}
}

// Slow tells that a running step takes its time: its host gives its place in the
// window to another and takes one again for its next step. At most as many hosts
// as the window holds may be slow at a time, so that at most twice as many are out
// of service.
func (s *Scheduler) Slow(id string) {
	i, known := s.g.index[id]
	if !known || s.state[i] != Running || s.g.steps[i].Window == "" {
		return
	}
	step := s.g.steps[i]
	w := s.windows[step.Window]
	if w.inside[step.Host] && len(w.slow) < s.limits.Window[step.Window] {
		delete(w.inside, step.Host)
		w.slow[step.Host] = true
	}
}

// lostInWindow draws the consequence of step i, which failed or is skipped: its
// host will not come to the window's end. One that is inside shuts the window for
// all who have not entered; one that is not does not enter.
func (s *Scheduler) lostInWindow(i int, skip func(n int)) {
	name, host := s.g.steps[i].Window, s.g.steps[i].Host
	w := s.windows[name]
	if w == nil || w.shut != "" {
		return
	}
	if !w.inside[host] && !w.slow[host] {
		for n, step := range s.g.steps {
			if step.Window == name && step.Host == host {
				skip(n)
			}
		}
		return
	}
	w.shut = s.g.steps[i].ID
	for n, step := range s.g.steps {
		if step.Window == name && !w.inside[step.Host] && !w.slow[step.Host] {
			skip(n)
		}
	}
}

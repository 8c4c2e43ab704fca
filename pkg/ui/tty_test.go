package ui

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
)

// screen is as much of a terminal as the live view needs: lines, wrapping,
// cursor up, erase below. Colours are left out.
type screen struct {
	t          *testing.T
	cols, rows int
	lines      [][]rune
	y, x       int
	writes     int
}

var escape = regexp.MustCompile("^\x1b\\[([0-9;]*)([A-Za-z])")

func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	text := string(p)
	for text != "" {
		if m := escape.FindStringSubmatch(text); m != nil {
			text = text[len(m[0]):]
			switch m[2] {
			case "A":
				n, _ := strconv.Atoi(m[1])
				s.y -= n
				if s.y < max(0, len(s.lines)-s.rows) {
					s.t.Errorf("the cursor is moved to line %d, above the screen", s.y)
				}
			case "J":
				s.lines = s.lines[:min(len(s.lines), s.y)]
			case "m":
			default:
				s.t.Errorf("unexpected escape %q", m[0])
			}
			continue
		}
		r := []rune(text)[0]
		text = text[len(string(r)):]
		switch r {
		case '\r':
			s.x = 0
		case '\n':
			s.grow()
			s.y, s.x = s.y+1, 0
		default:
			if s.x == s.cols {
				s.y, s.x = s.y+1, 0
			}
			s.grow()
			s.lines[s.y] = append(s.lines[s.y][:s.x], r)
			s.x++
		}
	}
	return len(p), nil
}

func (s *screen) grow() {
	for len(s.lines) <= s.y {
		s.lines = append(s.lines, nil)
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return b.String()
}

// TestTTY plays the recorded run in virtual time on a terminal of 80 by 24 and
// keeps some views and the last screen with its scroll-back.
func TestTTY(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"tty": {}, "tty-color-ascii": {Color: true, ASCII: true, Verbose: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				term := &screen{t: t, cols: 80, rows: 24}
				r := NewTTY(term, func() (int, int) { return term.cols, term.rows }, o)
				var b strings.Builder
				events := recorded(t)
				begin := time.Now()
				// Events come between two beats, so that the order is certain.
				for i, e := range events {
					time.Sleep(e.Time.Sub(events[0].Time).Truncate(beat) + beat/2 - time.Since(begin))
					r.Event(e)
					if i == 5 || i == 16 || i == 27 {
						time.Sleep(beat)
						synctest.Wait()
						fmt.Fprintf(&b, "--- %s after event %d\n%s", time.Since(begin), e.Seq, term)
					}
				}
				synctest.Wait()
				if limit := int(time.Since(begin) / beat); term.writes > limit {
					t.Errorf("%d drawings in %s", term.writes, time.Since(begin))
				}
				r.Close()
				r.Close()
				r.Event(event.Event{Event: event.Warning, Text: "too late"})
				fmt.Fprintf(&b, "--- at the end\n%s", term)
				golden(t, name, b.String())
			})
		})
	}
}

// fleet makes the events of a big run: every host busy, some failed.
func fleet(hosts, failed int) []event.Event {
	begin := time.Date(2026, 11, 23, 15, 49, 13, 0, time.UTC)
	var names []string
	steps := make(map[string]int)
	for i := range hosts {
		names = append(names, fmt.Sprintf("gpu-%03d", i+1))
		steps[names[i]] = 2
	}
	events := []event.Event{
		{Event: event.RunStart, Time: begin, Command: "apply", Cluster: "fleet", Hosts: names},
		{Event: event.Graph, Time: begin, Total: int64(2 * hosts), Hosts: names, Steps: steps},
	}
	for i, n := range names {
		at := begin.Add(time.Duration(i) * 20 * time.Millisecond)
		e := event.Event{Event: event.StepStart, Time: at, Host: n, Step: n + "/images", Title: "import 7 images, 日本語 and \x1b[2J\u202e too", Phase: "images"}
		events = append(events, e)
		if i < failed {
			e.Event, e.Status = event.StepDone, event.Failed
			events = append(events, e)
		} else {
			events = append(events, event.Event{Event: event.Progress, Time: at, Host: n, Step: e.Step, Title: "upload", Done: int64(i), Total: int64(hosts)})
		}
	}
	return events
}

func TestFramesFitTheirScreen(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ cols, rows int }{{80, 24}, {40, 10}, {20, 5}, {200, 60}} {
		t.Run(fmt.Sprintf("%dx%d", size.cols, size.rows), func(t *testing.T) {
			t.Parallel()
			m := newModel(style{})
			var last time.Time
			for _, e := range fleet(200, 3) {
				m.take(e)
				last = e.Time
				for _, l := range m.frame(last, size.cols, size.rows) {
					if width(l) >= size.cols || strings.ContainsAny(l, "\x1b\n") {
						t.Fatalf("%d columns in %q", width(l), l)
					}
				}
			}
			lines := m.frame(last.Add(90*time.Second), size.cols, size.rows)
			if len(lines) > max(2, size.rows-5) {
				t.Errorf("%d lines on a screen of %d", len(lines), size.rows)
			}
			golden(t, fmt.Sprintf("frame-%dx%d", size.cols, size.rows), strings.Join(lines, "\n")+"\n")
		})
	}
}

// What is printed or asked while the view is suspended stays on the screen as
// it is, and nothing is drawn over it.
func TestSuspend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		term := &screen{t: t, cols: 80, rows: 24}
		r := NewTTY(term, func() (int, int) { return term.cols, term.rows }, Options{})
		events := fleet(3, 1)
		for _, e := range events[:len(events)-1] {
			r.Event(e)
		}
		time.Sleep(beat * 3 / 2)
		r.Suspend(func() {
			fmt.Fprint(term, "Plan: 3 to create\napply? ")
			r.Event(events[len(events)-1])
			time.Sleep(10 * beat)
			fmt.Fprint(term, "yes\n")
		})
		time.Sleep(beat * 3 / 2)
		r.Close()
		golden(t, "tty-suspend", term.String())
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for mode, want := range map[string]string{"auto": "*ui.Plain", "plain": "*ui.Plain", "tty": "*ui.TTY", "json": "*ui.JSON"} {
		r, err := New(mode, f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%T", r); got != want {
			t.Errorf("New(%s) = %s, want %s", mode, got, want)
		}
		called := false
		if r.Suspend(func() { called = true }); !called {
			t.Errorf("%s: Suspend does not call", mode)
		}
		r.Close()
	}
	if _, err := New("fancy", f, Options{}); diag.KindOf(err) != diag.Invalid {
		t.Errorf("New(fancy) = %v", err)
	}
}

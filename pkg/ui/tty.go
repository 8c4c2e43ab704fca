package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"kforge.dev/kforge/pkg/event"
)

// beat is the time between two drawings of the live view: more often than ten
// times a second nobody sees, and a slow terminal suffers.
const beat = 100 * time.Millisecond

// TTY draws a live view of a run at the bottom of a terminal, redrawn in place;
// warnings and failures scroll away above it. It uses neither raw mode nor the
// alternate screen, so that the last view stays in the scroll-back.
type TTY struct {
	w    io.Writer
	size func() (cols, rows int)
	stop chan struct{}
	wg   sync.WaitGroup

	pen   sync.Mutex // held while writing; taken before mu
	drawn int        // lines of the view on the screen

	mu      sync.Mutex
	m       *model
	above   strings.Builder // to be scrolled above at the next drawing
	dirty   bool
	heard   time.Time // when the last event came, by our clock
	lastSec int64     // of the last drawing
	closed  bool
	held    bool // suspended
}

// NewTTY makes a renderer for a terminal; size is asked at each drawing.
func NewTTY(w io.Writer, size func() (cols, rows int), o Options) *TTY {
	t := &TTY{w: w, size: size, stop: make(chan struct{}), m: newModel(style{o})}
	t.wg.Go(t.loop)
	return t
}

// Event takes an event into the view. It does not draw: a terminal that is
// held (Ctrl-S) is waited for by the drawing alone.
func (t *TTY) Event(e event.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.resize()
	t.above.WriteString(t.m.take(e))
	t.heard, t.dirty = time.Now(), true
}

// Close draws once more and leaves the cursor below.
func (t *TTY) Close() {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return
	}
	t.closed = true
	t.mu.Unlock()
	close(t.stop)
	t.wg.Wait()
	t.draw(true)
}

func (t *TTY) loop() {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.draw(false)
		case <-t.stop:
			return
		}
	}
}

// Suspend takes the view off the screen for as long as f runs. What is to be
// scrolled above it is shown before.
func (t *TTY) Suspend(f func()) {
	t.pen.Lock()
	t.mu.Lock()
	t.resize()
	t.held, t.dirty = true, true
	t.write(nil)
	t.pen.Unlock()
	defer func() {
		t.mu.Lock()
		t.held = false
		t.mu.Unlock()
	}()
	f()
}

// draw writes what changed since the last drawing.
func (t *TTY) draw(last bool) {
	t.pen.Lock()
	defer t.pen.Unlock()
	t.mu.Lock()
	cols, rows := t.resize()
	now := t.now()
	if t.held || !t.dirty && !last && now.Unix() == t.lastSec {
		t.mu.Unlock()
		return
	}
	t.dirty, t.lastSec = false, now.Unix()
	t.write(t.m.frame(now, cols, rows))
}

// write puts lines in the place of the view, with what is to be scrolled above
// them. It is called with pen and mu held and lets go of mu before it writes, so
// that events are taken while the terminal is slow.
func (t *TTY) write(lines []string) {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", t.drawn)
	}
	b.WriteString(t.above.String())
	t.above.Reset()
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	t.drawn = len(lines)
	t.mu.Unlock()
	if b.Len() > 0 {
		_, _ = io.WriteString(t.w, b.String())
	}
}

// resize follows the width of the terminal.
func (t *TTY) resize() (cols, rows int) {
	cols, rows = t.size()
	t.m.st.Width = cols - 1
	return cols, rows
}

// now is the time of the run: that of its last event and what has passed since.
// A recorded run that is drawn again shows the times of then.
func (t *TTY) now() time.Time {
	if t.heard.IsZero() {
		return time.Now()
	}
	return t.m.story.last.Time.Add(time.Since(t.heard))
}

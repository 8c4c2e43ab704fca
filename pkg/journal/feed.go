package journal

import (
	"sync"

	"kforge.dev/kforge/pkg/event"
)

// backlog is how many events a renderer may be behind before those that only
// show movement (progress, output) are left out for it.
const backlog = 4096

// feed carries events to one renderer at the renderer's own pace.
type feed struct {
	r  Renderer
	wg sync.WaitGroup

	mu     sync.Mutex
	more   *sync.Cond
	queue  []event.Event
	closed bool
}

func newFeed(r Renderer) *feed {
	f := &feed{r: r}
	f.more = sync.NewCond(&f.mu)
	f.wg.Go(f.loop)
	return f
}

func (f *feed) push(e event.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) >= backlog && (e.Event == event.Progress || e.Event == event.Output) {
		return
	}
	f.queue = append(f.queue, e)
	f.more.Signal()
}

func (f *feed) loop() {
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.closed {
			f.more.Wait()
		}
		batch := f.queue
		f.queue = nil
		f.mu.Unlock()
		if len(batch) == 0 {
			f.r.Close()
			return
		}
		for _, e := range batch {
			f.r.Event(e)
		}
	}
}

// close waits until everything is shown.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.more.Signal()
	f.mu.Unlock()
	f.wg.Wait()
}

package run

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/preflight"
)

func fullMesh(names ...string) []preflight.Way {
	var out []preflight.Way
	for _, a := range names {
		for _, b := range names {
			if a != b {
				out = append(out, preflight.Way{From: a, To: b})
			}
		}
	}
	return out
}

func always(preflight.Way) bool { return true }

func (m move) String() string {
	text := string(m.what) + " " + m.host
	for _, w := range m.ways {
		text += " " + w.From + ">" + w.To
	}
	return text
}

// Transcripts: what happened, and what is to be done then.
func TestDoors(t *testing.T) {
	t.Parallel()
	type line struct {
		happens func(*doors) []move
		want    string // moves, with commas between them
	}
	meet := func(name string, here bool) func(*doors) []move {
		return func(d *doors) []move { return d.meet(name, here) }
	}
	opened := func(name string, ok bool) func(*doors) []move {
		return func(d *doors) []move { return d.opened(name, ok) }
	}
	closed := func(name string) func(*doors) []move { return func(d *doors) []move { return d.closed(name) } }
	ages := func(name string) func(*doors) []move { return func(d *doors) []move { return d.ages(name) } }
	dialled := func(from string, to ...string) func(*doors) []move {
		return func(d *doors) []move {
			var ways []preflight.Way
			for _, name := range to {
				ways = append(ways, preflight.Way{From: from, To: name})
			}
			return d.dialled(from, ways, nil)
		}
	}
	doubted := func(from string, to ...string) func(*doors) []move {
		return func(d *doors) []move {
			var ways []preflight.Way
			for _, name := range to {
				ways = append(ways, preflight.Way{From: from, To: name})
			}
			return d.dialled(from, ways, ways)
		}
	}
	for name, lines := range map[string][]line{
		"a way that leads nowhere is measured once more, through a new door": {
			{meet("c", false), ""},
			{meet("a", true), ""},
			{meet("b", true), "open b, open a"},
			{opened("a", true), "dial b b>a"},
			{doubted("b", "a"), "close a"},
			{opened("b", true), "dial a a>b"},
			{closed("a"), "open a"},
			{opened("a", true), "dial b b>a"},
			{doubted("b", "a"), "close a"}, // now it is so
			{dialled("a", "b"), "close b"},
			{closed("a"), "finished a"},
			{closed("b"), "finished b"},
		},
		"a door that shut by itself while somebody dialled": {
			{meet("c", false), ""},
			{meet("a", true), ""},
			{meet("b", true), "open b, open a"},
			{opened("a", true), "dial b b>a"},
			{closed("a"), "open a"},
			{doubted("b", "a"), ""},
			{opened("a", true), "dial b b>a"},
			{dialled("b", "a"), "close a"},
		},
		"a pair, and a third host that comes late": {
			{meet("a", true), ""},
			{meet("b", true), "open b, open a"},
			{opened("a", true), "dial b b>a"},
			{dialled("b", "a"), "close a"},
			{opened("b", true), "dial a a>b"},
			{closed("a"), ""},
			{dialled("a", "b"), "close b"},
			{closed("b"), ""},
			{meet("c", true), "open c, open a, open b"},
			{opened("c", true), "dial a a>c, dial b b>c"},
			{dialled("a", "c"), ""},
			{opened("a", true), "dial c c>a"},
			{opened("b", true), ""}, // c is busy
			{dialled("c", "a"), "dial c c>b, close a"},
			{dialled("b", "c"), "close c"},
			{closed("c"), ""}, // it still dials
			{dialled("c", "b"), "finished c, close b"},
			{closed("a"), "finished a"},
			{closed("b"), "finished b"},
		},
		"a host that is given up": {
			{meet("a", true), ""},
			{meet("c", false), ""},
			{meet("b", true), "open b, open a"},
			{opened("b", true), "dial a a>b"},
			{dialled("a", "b"), "close b"},
			{opened("a", true), "dial b b>a"},
			{closed("b"), ""},
			{dialled("b", "a"), "finished b, close a"},
			{closed("a"), "finished a"},
		},
		"a door that does not open": {
			{meet("a", true), ""},
			{meet("c", false), ""},
			{meet("b", true), "open b, open a"},
			{opened("b", false), ""},
			{opened("a", true), "dial b b>a"},
			{dialled("b", "a"), "finished b, close a"},
			{closed("a"), "finished a"},
		},
		"a door that gets old while somebody dials": {
			{meet("a", true), ""},
			{meet("b", true), "open b, open a"},
			{opened("b", true), "dial a a>b"},
			{ages("b"), ""},
			{meet("c", true), "open c"}, // b is wanted by c too
			{dialled("a", "b"), "close b"},
			{closed("b"), "open b"},
			{opened("b", true), "dial c c>b"},
			{opened("a", true), "dial b b>a"},
		},
		"a door that nobody wants gets no older": {
			{meet("a", true), ""},
			{ages("a"), ""},
		},
	} {
		d := newDoors([]string{"a", "b", "c"}, fullMesh("a", "b", "c"), always)
		for i, l := range lines {
			var got []string
			for _, m := range l.happens(d) {
				got = append(got, m.String())
			}
			if diff := cmp.Diff(l.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("%s, line %d (-want +got):\n%s", name, i+1, diff)
				break
			}
		}
	}
}

// world plays hosts that answer in any order.
type world struct {
	t        *testing.T
	r        *rand.Rand
	d        *doors
	pending  []func() []move
	open     map[string]bool
	measured map[string]int
	ended    []string
	dialling int
	busiest  int
	inside   map[string]int // who dial a host
	most     int
	doubts   bool // some ways lead nowhere at first
	doubted  map[string]bool
}

func (w *world) take(moves []move) {
	for _, m := range moves {
		switch m.what {
		case openDoor:
			w.pending = append(w.pending, func() []move {
				w.open[m.host] = true
				if w.r.IntN(3) == 0 {
					w.pending = append(w.pending, func() []move { return w.d.ages(m.host) })
				}
				return w.d.opened(m.host, true)
			})
		case closeDoor:
			w.open[m.host] = false
			w.pending = append(w.pending, func() []move { return w.d.closed(m.host) })
		case dialWays:
			if len(m.ways) > room {
				w.t.Errorf("%s dials %d hosts in one go", m.host, len(m.ways))
			}
			for _, way := range m.ways {
				if !w.open[way.To] {
					w.t.Errorf("%s is dialled, and its door is not open", way.To)
				}
				w.inside[way.To]++
				w.most = max(w.most, w.inside[way.To])
			}
			w.dialling++
			w.busiest = max(w.busiest, w.dialling)
			w.pending = append(w.pending, func() []move {
				w.dialling--
				for _, way := range m.ways {
					if !w.open[way.To] {
						w.t.Errorf("the door of %s was closed while %s dialled it", way.To, way.From)
					}
					w.measured[way.From+">"+way.To]++
					w.inside[way.To]--
				}
				return w.d.dialled(m.host, m.ways, w.doubt(m.ways))
			})
		case finished:
			w.ended = append(w.ended, m.host)
		}
	}
}

// doubt picks some of the ways that were measured for the first time.
func (w *world) doubt(ways []preflight.Way) []preflight.Way {
	return slices.DeleteFunc(slices.Clone(ways), func(way preflight.Way) bool {
		if !w.doubts || w.r.IntN(4) > 0 || w.doubted[way.From+">"+way.To] {
			return true
		}
		w.doubted[way.From+">"+way.To] = true
		return false
	})
}

func (w *world) settle() {
	for len(w.pending) > 0 {
		i := w.r.IntN(len(w.pending))
		what := w.pending[i]
		w.pending = slices.Delete(w.pending, i, i+1)
		w.take(what())
	}
}

func (w *world) count(way preflight.Way) int { return w.measured[way.From+">"+way.To] }

// Whatever the order in which hosts answer, each way is measured once, through
// an open door, and a host that is not met keeps none but its own ways waiting.
func TestDoorsInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		n := 2 + r.IntN(9)
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint("n", i))
		}
		ways := fullMesh(names...)
		w := &world{t: t, r: r, d: newDoors(names, ways, always), open: map[string]bool{}, measured: map[string]int{}, inside: map[string]int{}}
		w.doubts, w.doubted = seed%2 == 1, map[string]bool{}
		slow := names[r.IntN(n)]
		for _, i := range r.Perm(n) {
			if names[i] == slow {
				continue
			}
			w.pending = append(w.pending, func() []move { return w.d.meet(names[i], true) })
		}
		w.settle()
		for _, way := range ways {
			want := 1
			if way.From == slow || way.To == slow {
				want = 0
			} else if w.doubted[way.From+">"+way.To] {
				want = 2
			}
			if got := w.count(way); got != want {
				t.Fatalf("seed %d: %s to %s was measured %d times, want %d, before the slow host came", seed, way.From, way.To, got, want)
			}
		}
		w.take(w.d.meet(slow, true))
		w.settle()
		for _, way := range ways {
			want := 1
			if w.doubted[way.From+">"+way.To] {
				want = 2
			}
			if got := w.count(way); got != want {
				t.Fatalf("seed %d: %s to %s was measured %d times, want %d", seed, way.From, way.To, got, want)
			}
		}
		if !w.d.over() || len(w.ended) != n {
			t.Fatalf("seed %d: over is %v, finished are %v of %d hosts", seed, w.d.over(), w.ended, n)
		}
	}
}

// A thousand hosts do not dial one at once.
func TestDoorsHaveRoomForSome(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"center"}
	var ways []preflight.Way
	for i := range 1000 {
		name := fmt.Sprint("n", i)
		names = append(names, name)
		ways = append(ways, preflight.Way{From: name, To: "center"}, preflight.Way{From: "center", To: name})
	}
	w := &world{t: t, r: r, d: newDoors(names, ways, always), open: map[string]bool{}, measured: map[string]int{}, inside: map[string]int{}}
	for _, name := range names {
		w.pending = append(w.pending, func() []move { return w.d.meet(name, true) })
	}
	w.settle()
	if w.most != room {
		t.Errorf("up to %d hosts dialled one at a time, want %d", w.most, room)
	}
	if w.busiest > dialers {
		t.Errorf("up to %d hosts dialled at a time, want %d", w.busiest, dialers)
	}
	if !w.d.over() || len(w.measured) != len(ways) || len(w.ended) != len(names) {
		t.Errorf("over: %v, %d of %d ways measured, %d hosts finished", w.d.over(), len(w.measured), len(ways), len(w.ended))
	}
}

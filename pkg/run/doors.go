package run

import (
	"slices"

	"kforge.dev/kforge/pkg/preflight"
)

// doors decides which host opens its ports when, and who dials whom. A way is
// measured as soon as both its hosts were met, so that no pair waits for a host
// that is slow; and ports are held open only while somebody is to dial them. It
// starts nothing and knows no clock: told of what happened, it gives the moves
// that follow.
type doors struct {
	gates map[string]*gate
	// worth tells of two hosts that were reached whether their way is measured.
	worth func(preflight.Way) bool
	left  int // hosts that were not met, or not finished

	busy  int     // hosts that dial
	queue []*gate // those that may have something to dial
}

// gate is one host: its door, and itself as one who dials.
type gate struct {
	name      string
	met, here bool // here: it was reached
	done      bool
	strangers int // the far ends of its ways that were not met yet
	ways      []*path

	// As one who dials.
	toDial   []*path
	dialling bool
	queued   bool

	// As one who is dialled.
	door   doorState
	broken bool    // it could not open: nobody waits for it
	knocks int     // ways to it that are to be measured, or are being
	inside int     // those that are being measured
	crowd  []*path // those that wait for room
	again  int     // ways to it that were sent back
}

// dialers is how many hosts dial at a time. One that hears from all others at
// once would hear badly, and so might their network.
const dialers = 64

// room is how many hosts dial one host at a time. A socket takes some hundred
// datagrams: of a thousand hosts that all ask the control plane at once, some
// would hear nothing and blame a firewall.
const room = 32

// secondLooks is how many ways to one host are measured twice: where a firewall
// is in the way, so many tell it as well as a thousand, which would take minutes.
const secondLooks = room

type doorState int

const (
	doorShut doorState = iota
	doorOpening
	doorOpen
	doorStale // open, and soon to end by itself: nobody new is let in
	doorClosing
)

// path is a way between two hosts.
type path struct {
	preflight.Way
	from, to *gate
	waits    bool // in to's crowd
	again    bool // it was sent back once
}

func (p *path) other(g *gate) *gate {
	if p.from == g {
		return p.to
	}
	return p.from
}

// move is what is to be done next.
type move struct {
	what moveKind
	host string
	ways []preflight.Way // of dial
}

type moveKind string

const (
	openDoor  moveKind = "open"
	closeDoor moveKind = "close"
	dialWays  moveKind = "dial"
	finished  moveKind = "finished" // nothing more is measured from or to the host
)

func newDoors(hosts []string, ways []preflight.Way, worth func(preflight.Way) bool) *doors {
	d := &doors{gates: map[string]*gate{}, worth: worth, left: len(hosts)}
	for _, name := range hosts {
		d.gates[name] = &gate{name: name}
	}
	for _, w := range ways {
		from, to := d.gates[w.From], d.gates[w.To]
		if from == nil || to == nil {
			continue // not asked for
		}
		p := &path{Way: w, from: from, to: to}
		for _, g := range []*gate{from, to} {
			g.ways = append(g.ways, p)
			g.strangers++
		}
	}
	return d
}

// over tells that nothing is left to do.
func (d *doors) over() bool { return d.left == 0 }

// meet: the host was reached, or given up.
func (d *doors) meet(name string, here bool) []move {
	g := d.gates[name]
	g.met, g.here = true, here
	touched := []*gate{g}
	for _, p := range g.ways {
		far := p.other(g)
		far.strangers--
		touched = append(touched, far)
		if far.met && far.here && here && !p.to.broken && d.worth(p.Way) {
			p.from.toDial = append(p.from.toDial, p)
			p.to.knocks++
		}
	}
	if !here {
		g.done = true
		d.left--
	}
	return d.advance(touched)
}

// opened: the ports of the host can be dialled, or will never be.
func (d *doors) opened(name string, ok bool) []move {
	g := d.gates[name]
	touched := []*gate{g}
	g.door = doorOpen
	if !ok {
		g.door, g.broken, g.knocks = doorShut, true, g.inside
	}
	for _, p := range g.ways {
		if p.to != g {
			continue
		}
		touched = append(touched, p.from)
		if !ok {
			p.from.toDial = slices.DeleteFunc(p.from.toDial, func(q *path) bool { return q == p })
		}
	}
	return d.advance(touched)
}

// ages: the host's door will end by itself soon.
func (d *doors) ages(name string) []move {
	g := d.gates[name]
	if g.door == doorOpen {
		g.door = doorStale
	}
	return d.advance([]*gate{g})
}

// closed: nobody listens at the host any more.
func (d *doors) closed(name string) []move {
	g := d.gates[name]
	g.door = doorShut
	return d.advance([]*gate{g})
}

// dialled: the host has measured these ways, and found doubtful what leads
// nowhere. Such a way is measured once more, through a door that was opened anew:
// a busy host or a network that has just come up is no firewall.
func (d *doors) dialled(name string, ways, doubtful []preflight.Way) []move {
	g := d.gates[name]
	g.dialling = false
	d.busy--
	touched := []*gate{g}
	for _, w := range ways {
		to := d.gates[w.To]
		to.inside--
		if !d.sendBack(g, to, doubtful) {
			to.knocks--
		}
		touched = append(touched, to)
		for _, p := range to.crowd { // room was made: some of them can go in
			touched = append(touched, p.from)
		}
	}
	return d.advance(touched)
}

// sendBack has a doubtful way measured again.
func (d *doors) sendBack(from, to *gate, doubtful []preflight.Way) bool {
	if to.broken || to.again == secondLooks || !slices.ContainsFunc(doubtful, func(w preflight.Way) bool { return w.To == to.name }) {
		return false
	}
	i := slices.IndexFunc(from.ways, func(p *path) bool { return p.from == from && p.to == to })
	p := from.ways[i]
	if p.again {
		return false
	}
	p.again = true
	to.again++
	from.toDial = append(from.toDial, p)
	if to.door == doorOpen {
		to.door = doorStale
	}
	return true
}

// advance gives what can begin or end at these hosts.
func (d *doors) advance(gates []*gate) []move {
	var moves []move
	for _, g := range gates {
		if len(g.toDial) > 0 && !g.queued {
			g.queued = true
			d.queue = append(d.queue, g)
		}
	}
	for len(d.queue) > 0 && d.busy < dialers {
		g := d.queue[0]
		d.queue = d.queue[1:]
		g.queued = false
		if m, ok := g.dial(); ok { // else it is queued again when a door opens
			d.busy++
			moves = append(moves, m)
		}
	}
	for _, g := range gates { // after the dials, which keep doors open
		switch {
		case g.door == doorShut && g.knocks > 0:
			g.door = doorOpening
			moves = append(moves, move{what: openDoor, host: g.name})
		case g.inside == 0 && (g.door == doorStale || g.door == doorOpen && g.knocks == 0):
			g.door = doorClosing
			moves = append(moves, move{what: closeDoor, host: g.name})
		}
		if g.here && !g.done && g.strangers == 0 && len(g.toDial) == 0 && !g.dialling && g.knocks == 0 && g.door == doorShut {
			g.done = true
			d.left--
			moves = append(moves, move{what: finished, host: g.name})
		}
	}
	return moves
}

// dial gives the ways that the host can measure now, all in one go.
func (g *gate) dial() (move, bool) {
	if g.dialling {
		return move{}, false
	}
	m := move{what: dialWays, host: g.name}
	g.toDial = slices.DeleteFunc(g.toDial, func(p *path) bool {
		if p.to.door != doorOpen || len(m.ways) == room { // the rest comes next, before these doors are old
			return false
		}
		if p.to.inside == room {
			if !p.waits {
				p.waits = true
				p.to.crowd = append(p.to.crowd, p)
			}
			return false
		}
		if p.waits {
			p.waits = false
			p.to.crowd = slices.DeleteFunc(p.to.crowd, func(q *path) bool { return q == p })
		}
		m.ways = append(m.ways, p.Way)
		p.to.inside++
		return true
	})
	g.dialling = len(m.ways) > 0
	return m, g.dialling
}

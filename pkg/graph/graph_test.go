package graph

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kforge.dev/kforge/pkg/diag"
)

func TestNewRefusesDefects(t *testing.T) {
	t.Parallel()
	tests := map[string][]Step{
		"duplicate":    {{ID: "a"}, {ID: "a"}},
		"unknown need": {{ID: "a", Needs: []string{"b"}}},
		"self":         {{ID: "a", NeedsAny: []string{"a"}}},
		"reserved":     {{ID: Stopped}},
		"empty":        {{}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(steps); diag.KindOf(err) != diag.Internal {
				t.Errorf("New = %v, want an error of kind internal", err)
			}
		})
	}
}

func TestHostsAreInOrderOfTheirFirstStep(t *testing.T) {
	t.Parallel()
	g, err := New([]Step{{ID: "x"}, {ID: "b1", Host: "b"}, {ID: "a1", Host: "a"}, {ID: "b2", Host: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b", "a"}, g.Hosts()); d != "" {
		t.Errorf("Hosts (-want +got):\n%s", d)
	}
	if s, ok := g.Step("a1"); !ok || s.Host != "a" || g.Len() != 4 {
		t.Errorf("Step = %+v, %t; Len = %d", s, ok, g.Len())
	}
}

// anyGraph draws a graph without cycles: needs point to earlier steps, in an
// order that is then shuffled.
func anyGraph(t *rapid.T) *Graph {
	n := rapid.IntRange(0, 25).Draw(t, "steps")
	steps := make([]Step, n)
	for i := range steps {
		steps[i] = Step{
			ID:    fmt.Sprintf("s%d", i),
			Host:  rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "host"),
			Class: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "class"),
		}
		if i > 0 {
			earlier := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("s%d", rapid.IntRange(0, i-1).Draw(t, "need")) })
			steps[i].Needs = rapid.SliceOfN(earlier, 0, 3).Draw(t, "needs")
			steps[i].NeedsAny = rapid.SliceOfN(earlier, 0, 3).Draw(t, "any")
		}
	}
	g, err := New(rapid.Permutation(steps).Draw(t, "order"))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// walk runs a graph to its end with outcomes and order of ends drawn, checking
// after each move what must always hold.
func walk(t *rapid.T, g *Graph, limits Limits, failures, stops bool) (*Scheduler, map[string]int) {
	s := NewScheduler(g, limits)
	ran, told := map[string]int{}, map[string]bool{}
	var running []Step
	failedHost := map[string]bool{}
	for moves := 0; !s.Finished(); moves++ {
		if moves > 2*g.Len()+2 {
			t.Fatal("does not end")
		}
		for _, st := range s.Next() {
			ran[st.ID]++
			if failedHost[st.Host] && st.Host != "" {
				t.Fatalf("%s runs on a host that failed", st.ID)
			}
			anyOK := len(st.NeedsAny) == 0
			for _, id := range st.NeedsAny {
				state, _ := s.Outcome(id)
				anyOK = anyOK || state == OK
			}
			for _, id := range st.Needs {
				if state, _ := s.Outcome(id); state != OK {
					t.Fatalf("%s runs though %s is %s", st.ID, id, state)
				}
			}
			if !anyOK {
				t.Fatalf("%s runs though none of %v is ok", st.ID, st.NeedsAny)
			}
			running = append(running, st)
		}
		checkWindows(t, running, limits)
		if len(running) == 0 {
			if !s.Finished() {
				t.Fatal("nothing runs and nothing will")
			}
			break
		}
		var skipped []Step
		if stops && rapid.IntRange(0, 9).Draw(t, "stop") == 0 {
			skipped = s.Stop()
		} else {
			i := rapid.IntRange(0, len(running)-1).Draw(t, "ends")
			st := running[i]
			running = slices.Delete(running, i, i+1)
			ok := !failures || rapid.IntRange(0, 3).Draw(t, "ok") > 0
			failedHost[st.Host] = failedHost[st.Host] || !ok
			skipped = s.Done(st.ID, ok)
		}
		for _, st := range skipped {
			if told[st.ID] || ran[st.ID] > 0 {
				t.Fatalf("%s is skipped though it ran or was skipped before", st.ID)
			}
			told[st.ID] = true
		}
	}
	for _, st := range g.Steps() {
		state, because := s.Outcome(st.ID)
		if (state == Skipped) != told[st.ID] {
			t.Fatalf("%s is %s, told as skipped: %t", st.ID, state, told[st.ID])
		}
		if state == Skipped && because != Stopped && because != OverBudget {
			if root, _ := s.Outcome(because); root != Failed {
				t.Fatalf("%s is skipped because of %s, which is %s", st.ID, because, root)
			}
		}
	}
	return s, ran
}

func checkWindows(t *rapid.T, running []Step, limits Limits) {
	hosts, classes := map[string]int{}, map[string]int{}
	for _, st := range running {
		hosts[st.Host]++
		classes[st.Class]++
		if st.Host != "" && hosts[st.Host] > 1 {
			t.Fatalf("two steps run on %s", st.Host)
		}
		if l := limits.Class[st.Class]; l > 0 && classes[st.Class] > l {
			t.Fatalf("%d steps of class %s run, limit %d", classes[st.Class], st.Class, l)
		}
	}
}

func anyLimits(t *rapid.T) Limits {
	return Limits{Class: map[string]int{
		"x": rapid.IntRange(0, 2).Draw(t, "x"),
		"y": rapid.IntRange(0, 2).Draw(t, "y"),
	}}
}

func TestEveryStepRunsOnceWhenNothingFails(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := anyGraph(t)
		s, ran := walk(t, g, anyLimits(t), false, false)
		for _, st := range g.Steps() {
			if state, _ := s.Outcome(st.ID); state != OK || ran[st.ID] != 1 {
				t.Fatalf("%s is %s and ran %d times", st.ID, state, ran[st.ID])
			}
		}
	})
}

func TestFailuresAndStops(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := anyLimits(t)
		limits.MaxFailures = rapid.IntRange(0, 3).Draw(t, "max-failures")
		walk(t, anyGraph(t), limits, true, true)
	})
}

// A fleet of a thousand hosts must not make the scheduler the slow part.
func BenchmarkThousandHosts(b *testing.B) {
	var steps []Step
	for h := range 1000 {
		for i := range 30 {
			s := Step{ID: fmt.Sprintf("h%d/%d", h, i), Host: fmt.Sprintf("h%d", h), Class: "host"}
			if i > 0 {
				s.Needs = []string{fmt.Sprintf("h%d/%d", h, i-1)}
			}
			steps = append(steps, s)
		}
	}
	for b.Loop() {
		g, err := New(steps)
		if err != nil {
			b.Fatal(err)
		}
		s := NewScheduler(g, Limits{Class: map[string]int{"host": 200}})
		running := s.Next()
		for !s.Finished() {
			s.Done(running[0].ID, true)
			running = append(running[1:], s.Next()...)
		}
	}
}

// A step beside runs while another of its host does; two ordinary ones never do.
func TestBeside(t *testing.T) {
	t.Parallel()
	g, err := New([]Step{
		{ID: "images", Host: "n1"},
		{ID: "init", Host: "n1", Needs: []string{"images"}},
		{ID: "more-images", Host: "n1", Needs: []string{"images"}, Beside: true},
		{ID: "kubelet", Host: "n1", Needs: []string{"images"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := NewScheduler(g, Limits{})
	ids := func(steps []Step) (out []string) {
		for _, st := range steps {
			out = append(out, st.ID)
		}
		return out
	}
	for _, tt := range []struct {
		done string
		want []string
	}{
		{"", []string{"images"}},
		{"images", []string{"init", "more-images"}},
		{"more-images", nil},
		{"init", []string{"kubelet"}},
		{"kubelet", nil},
	} {
		s.Done(tt.done, true)
		if got := ids(s.Next()); !slices.Equal(got, tt.want) {
			t.Errorf("after %q: %v start, want %v", tt.done, got, tt.want)
		}
	}
	if !s.Finished() {
		t.Error("not finished")
	}
}

package graph

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the transcripts; only commit changes that you understand")

// TestTranscripts runs the commands of each testdata/*.txt (lines that begin
// with "> ") and compares the whole transcript.
//
//	> step ID [class=C] [needs=ID,ID] [any=ID,ID] [after=ID,ID] [window=W]    the host is what precedes "/"; "cluster" is none
//	> start [class=N ...] [window:W=N ...] [max-failures=N]
//	> next | done ID | fail ID | slow ID | stop | outcomes
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := transcript(t, string(raw))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(raw), got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
}

func transcript(t *testing.T, in string) string {
	t.Helper()
	var out strings.Builder
	var steps []Step
	var s *Scheduler
	for line := range strings.Lines(in) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") || line == "" {
			fmt.Fprintln(&out, line)
			continue
		}
		cmd, isCommand := strings.CutPrefix(line, "> ")
		if !isCommand {
			continue
		}
		fmt.Fprintln(&out, line)
		f := strings.Fields(cmd)
		switch f[0] {
		case "step":
			steps = append(steps, parseStep(f[1:]))
		case "start":
			g, err := New(steps)
			if err != nil {
				fmt.Fprintln(&out, "error:", err)
				continue
			}
			s = NewScheduler(g, parseLimits(t, f[1:]))
		case "next":
			say(&out, "start", s.Next())
		case "done", "fail":
			say(&out, "skip", s.Done(f[1], f[0] == "done"))
		case "slow":
			s.Slow(f[1])
		case "stop":
			say(&out, "skip", s.Stop())
		case "outcomes":
			for _, st := range s.g.Steps() {
				state, because := s.Outcome(st.ID)
				fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("%s %s %s", st.ID, state, because)))
			}
			fmt.Fprintf(&out, "finished=%t stopped=%t\n", s.Finished(), s.Stopped())
		default:
			t.Fatalf("unknown command %q", line)
		}
	}
	return out.String()
}

func say(out *strings.Builder, verb string, steps []Step) {
	if len(steps) == 0 {
		fmt.Fprintf(out, "%s nothing\n", verb)
	}
	for _, s := range steps {
		fmt.Fprintf(out, "%s %s\n", verb, s.ID)
	}
}

func parseStep(f []string) Step {
	host, _, _ := strings.Cut(f[0], "/")
	if host == "cluster" {
		host = ""
	}
	s := Step{ID: f[0], Host: host, Title: f[0]}
	for _, kv := range f[1:] {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "class":
			s.Class = v
		case "needs":
			s.Needs = strings.Split(v, ",")
		case "any":
			s.NeedsAny = strings.Split(v, ",")
		case "after":
			s.After = strings.Split(v, ",")
		case "window":
			s.Window = v
		}
	}
	return s
}

func parseLimits(t *testing.T, f []string) Limits {
	t.Helper()
	l := Limits{Class: map[string]int{}, Window: map[string]int{}}
	for _, kv := range f {
		k, v, _ := strings.Cut(kv, "=")
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := strings.CutPrefix(k, "window:"); ok {
			l.Window[w] = n
		} else if k == "max-failures" {
			l.MaxFailures = n
		} else {
			l.Class[k] = n
		}
	}
	return l
}

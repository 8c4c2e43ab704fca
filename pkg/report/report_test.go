package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/event"
	"kforge.dev/kforge/pkg/facts"
	"kforge.dev/kforge/pkg/report"
)

var update = flag.Bool("update", false, "rewrite the expected page in testdata")

func draw(t *testing.T, in report.Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, in); err != nil {
		t.Fatal(err)
	}
	check(t, b.String())
	return b.String()
}

// check wants what every page must be: well-formed, and whole in itself.
func check(t *testing.T, page string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(page))
	ids, links := map[string]bool{}, []string{}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		el, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch el.Name.Local {
		case "script", "link", "img", "iframe", "object", "image", "use":
			t.Errorf("the page has a <%s>", el.Name.Local)
		}
		for _, a := range el.Attr {
			switch {
			case a.Name.Local == "id":
				ids[a.Value] = true
			case a.Name.Local == "href":
				links = append(links, a.Value)
			case a.Name.Local == "src" || strings.HasPrefix(a.Name.Local, "on"):
				t.Errorf("<%s> has %s=%q", el.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	for _, l := range links {
		if !strings.HasPrefix(l, "#") || !ids[l[1:]] {
			t.Errorf("the link %q leads nowhere on the page", l)
		}
	}
	names := regexp.MustCompile(`xmlns="http://www\.w3\.org/[0-9a-z/]+"`)
	if found := regexp.MustCompile(`(https?:)?//[a-zA-Z0-9]|url\(|@import|ZgotmplZ|NaN|%!|<no value>`).FindString(names.ReplaceAllString(page, "")); found != "" {
		t.Errorf("the page holds %q", found)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	got := draw(t, site(t))
	if again := draw(t, site(t)); again != got {
		t.Error("the same input gave two pages")
	}
	golden := filepath.Join("testdata", "site.html")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("page (-want +got), -update rewrites it:\n%s", diff)
	}
	for _, text := range []string{
		"2 × Intel Xeon E5-2650 v4: 24 cores, 48 threads", "24 × 4 TB HDD, 2 × 480 GB SSD; 4 blank", "8 × Tesla V100-SXM2-32GB, NVLink switched",
		"5.9 TiB memory", "dial 10.0.1.8:22: no route to host", "What set the pace",
	} {
		if !strings.Contains(got, text) {
			t.Errorf("the page does not hold %q", text)
		}
	}
}

// What hosts say is text, whatever it is.
func TestHostileHost(t *testing.T) {
	t.Parallel()
	const evil = `</title></style><script>alert(1)</script>"' onload=x //`
	got := draw(t, report.Input{
		Cluster: evil, Hosts: []report.Host{
			{Name: evil, Class: evil, Roles: []string{evil}, Error: evil},
			{Name: "n", Facts: &facts.Host{CPU: facts.CPU{Model: evil, Logical: 2}, Memory: facts.Memory{Total: gib},
				Disks: []facts.Disk{{Name: evil, Size: 1}}, Interfaces: []facts.Interface{{Name: evil}}, GPUs: []facts.GPU{{Vendor: "10de", Model: evil}}}},
		},
		Run: []event.Event{
			{Event: event.RunStart, Command: evil, Run: evil, User: evil, Hosts: []string{evil}},
			{Event: event.StepStart, Step: evil, Title: evil, Phase: evil, Host: evil},
		},
	})
	if strings.Contains(got, "<script") {
		t.Error("a host's text became a script")
	}
}

func TestNothingIsKnown(t *testing.T) {
	t.Parallel()
	got := draw(t, report.Input{Offline: true, Hosts: []report.Host{{Name: "n1"}}})
	for _, text := range []string{"The host was not asked", "no host was asked", "The record tells of none"} {
		if !strings.Contains(got, text) {
			t.Errorf("the page does not hold %q", text)
		}
	}
}

// A big fleet of a few kinds of machine has a card for each kind.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	in := report.Input{Cluster: "big", Run: []event.Event{{Event: event.RunStart, Command: "apply"}}}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in.Run[0].Time = start
	for i := range 200 {
		name := fmt.Sprintf("node-%03d", i)
		in.Hosts = append(in.Hosts, report.Host{Name: name, Facts: []*facts.Host{hadoop(), dgx(), inMemory()}[i%3]})
		in.Run[0].Hosts = append(in.Run[0].Hosts, name)
	}
	for s := range 8 {
		for i, name := range in.Run[0].Hosts {
			in.Run = append(in.Run,
				event.Event{Event: event.StepStart, Host: name, Step: fmt.Sprint(name, s), Title: "step", Phase: fmt.Sprint("phase", s), Time: start.Add(time.Duration(s*10000+i) * time.Millisecond)},
				event.Event{Event: event.StepDone, Host: name, Step: fmt.Sprint(name, s), Status: event.OK, Time: start.Add(time.Duration(s*10000+i+1) * time.Millisecond)})
		}
	}
	got := draw(t, in)
	if n := strings.Count(got, "<article"); n != 3 {
		t.Errorf("%d cards, want 3", n)
	}
	if n := strings.Count(got, `class="lane"`); n != 200 {
		t.Errorf("%d lanes, want 200", n)
	}
	if len(got) > 2<<20 {
		t.Errorf("the page has %d bytes", len(got))
	}
}

// A record that was cut, and a host that failed, are told.
func TestCutRun(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 0, 0, s, 0, time.UTC) }
	got := draw(t, report.Input{Hosts: []report.Host{{Name: "n1"}}, Run: []event.Event{
		{Event: event.RunStart, Command: "apply", Cluster: "lab", Hosts: []string{"n1", "n2"}, Time: at(0)},
		{Event: event.HostState, Host: "n2", State: "connecting", Time: at(0)},
		{Event: event.HostState, Host: "n2", State: event.StateUnreachable, Error: diag.New(diag.Unreachable, "dial", "refused"), Time: at(1)},
		{Event: event.StepStart, Host: "n1", Step: "n1/a", Title: "first", Phase: "prepare", Time: at(1)},
		{Event: event.StepDone, Host: "n1", Step: "n1/a", Status: event.Failed, Error: diag.New(diag.NoSpace, "write", "disk full"), Time: at(3)},
		{Event: event.StepStart, Host: "n1", Step: "n1/b", Title: "second", Phase: "images", Time: at(3)},
		{Event: event.StepDone, Host: "n1", Step: "n1/never", Status: event.Skipped, Time: at(9)},
	}})
	for _, text := range []string{"apply lab: cut off", "s-cut-off", "s-failed", "write: disk full", "s-unreachable", "dial: refused"} {
		if !strings.Contains(got, text) {
			t.Errorf("the page does not hold %q", text)
		}
	}
}

package preflight

import (
	"encoding/xml"
	"fmt"
	"strings"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Failure *junitResult `xml:"failure"`
	Skipped *junitResult `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitResult struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML: a suite for each rule, a case for each
// host, and one more for the cluster where a rule has something to say of it.
// Errors are failures; warnings and notices are output of a case that passed; a
// waived case is skipped, with its reason.
func (r *Report) JUnit() ([]byte, error) {
	all := junitSuites{Name: "kforge check " + r.Cluster}
	for _, rule := range r.Rules {
		s := junitSuite{Name: rule.Name}
		for _, h := range r.Hosts {
			if h.Reached || rule.Name == "reach" {
				s.add(r.junitCase(rule.Name, h.Name, h.Name))
			}
		}
		if c := r.junitCase(rule.Name, "", "cluster"); c.Failure != nil || c.Skipped != nil || c.Out != "" {
			s.add(c)
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	raw, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing JUnit report: %w", err)
	}
	return append([]byte(xml.Header), append(raw, '\n')...), nil
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	if c.Failure != nil {
		s.Failures++
	}
	if c.Skipped != nil {
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func (r *Report) junitCase(rule, host, name string) junitCase {
	c := junitCase{Class: "kforge.check." + rule, Name: name}
	var errors, waived, rest []string
	text := func(f Finding) string { return f.Message + "\nfix: " + f.Hint }
	for _, f := range r.Findings {
		switch {
		case f.Rule != rule || f.Host != host:
		case f.Severity == Error:
			errors = append(errors, text(f))
		default:
			rest = append(rest, string(f.Severity)+": "+text(f))
		}
	}
	for _, f := range r.Waived {
		if f.Rule == rule && f.Host == host {
			waived = append(waived, f.Reason)
			rest = append(rest, "waived: "+text(f))
		}
	}
	c.Out = strings.Join(rest, "\n")
	switch {
	case len(errors) > 0:
		first, _, _ := strings.Cut(errors[0], "\n")
		c.Failure = &junitResult{Message: first, Type: "error", Text: strings.Join(errors, "\n")}
	case len(waived) > 0:
		c.Skipped = &junitResult{Message: "waived: " + waived[0]}
	}
	return c
}

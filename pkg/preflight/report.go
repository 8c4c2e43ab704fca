package preflight

// ReportVersion is that of the report's JSON form. Keys are added, never changed.
const ReportVersion = "kforge.dev/check/v1"

// Report is all that a check found.
type Report struct {
	APIVersion string `json:"apiVersion"`
	Cluster    string `json:"cluster"`
	Inventory  string `json:"inventory"` // path as the user gave it
	Summary    Totals `json:"summary"`
	// Paths is how many ways between hosts were measured, each way by itself.
	Paths int `json:"paths"`
	// Hosts in the inventory's order.
	Hosts []HostTotals `json:"hosts"`
	// Rules in the order of their work.
	Rules []RuleTotals `json:"rules"`
	// Findings that count: errors, then warnings, then notices.
	Findings []Finding `json:"findings"`
	// Waived are findings of rules that the inventory switches off.
	Waived []Finding `json:"waived"`
}

// Totals count what was found. Hosts are those with errors or warnings.
type Totals struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Notices  int `json:"notices"`
	Waived   int `json:"waived"`
	Hosts    int `json:"hosts"`
}

// HostTotals count what was found on one host.
type HostTotals struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Reached bool   `json:"reached"`
	// Measured: it took part in the measurements between hosts.
	Measured bool `json:"measured"`
	Errors   int  `json:"errors"`
	Warnings int  `json:"warnings"`
}

// RuleTotals count what one rule found.
type RuleTotals struct {
	Rule
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Waived   int `json:"waived"`
}

func newReport(in Input) *Report {
	r := &Report{APIVersion: ReportVersion, Cluster: in.Cluster.Name, Inventory: in.Cluster.File, Paths: len(in.Paths), Findings: []Finding{}, Waived: []Finding{}}
	measured := map[string]bool{}
	for _, p := range in.Paths {
		measured[p.From], measured[p.To] = true, true
	}
	for _, h := range in.Cluster.Hosts {
		r.Hosts = append(r.Hosts, HostTotals{Name: h.Name, Address: h.Address, Reached: in.Facts[h.Name] != nil, Measured: measured[h.Name]})
	}
	for _, rule := range catalogue {
		r.Rules = append(r.Rules, RuleTotals{Rule: rule})
	}
	return r
}

// count fills in the totals.
func (r *Report) count() {
	hosts, byRule := map[string]*HostTotals{"": {}}, map[string]*RuleTotals{}
	for i := range r.Hosts {
		hosts[r.Hosts[i].Name] = &r.Hosts[i]
	}
	for i := range r.Rules {
		byRule[r.Rules[i].Name] = &r.Rules[i]
	}
	for _, f := range r.Findings {
		switch f.Severity {
		case Error:
			r.Summary.Errors++
			hosts[f.Host].Errors++
			byRule[f.Rule].Errors++
		case Warning:
			r.Summary.Warnings++
			hosts[f.Host].Warnings++
			byRule[f.Rule].Warnings++
		default:
			r.Summary.Notices++
		}
	}
	for _, f := range r.Waived {
		r.Summary.Waived++
		byRule[f.Rule].Waived++
	}
	for _, h := range r.Hosts {
		if h.Errors+h.Warnings > 0 {
			r.Summary.Hosts++
		}
	}
}

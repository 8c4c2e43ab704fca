package preflight

// Check gives all findings, errors before warnings, then in the inventory's
// order of hosts, then by rule.
func Check(in Input) []Finding {
	return nil
}

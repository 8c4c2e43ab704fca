package inventory

import (
	"maps"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
)

// checks checks how rules are tuned.
func (ch *checker) checks(at string, checks map[string]Check) {
	for _, rule := range slices.Sorted(maps.Keys(checks)) {
		where, c := index(at, rule), checks[rule]
		if _, ok := checkRules[rule]; !ok {
			if !ch.spoiled(at) {
				err := diag.New(diag.Invalid, "", "unknown check %s%s", quote(rule), didYouMean(rule, CheckRules())).At(ch.w.keyPos[where])
				err.Hint = "known checks: " + strings.Join(CheckRules(), ", ")
				ch.w.errs.Add(err)
			}
			continue
		}
		limits := c.Warn != 0 || c.Fail != 0
		switch {
		case limits && !CheckHasLimits(rule):
			ch.fail(where, "%s: the check %s has no limits: set its severity", at, rule)
		case limits && c.Warn != 0 && c.Fail != 0 && c.Fail < c.Warn:
			ch.fail(where+".fail", "%s: the check %s fails at %s, before it warns at %s", at, rule, c.Fail, c.Warn)
		case !limits && c.Severity == "" && ch.clean(where):
			ch.fail(where, "%s: the check %s is set to nothing: write severity, warn or fail", at, rule)
		case (c.Severity == "off" || c.Severity == "warning") && c.Reason == "" && ch.clean(where):
			ch.fail(where, "%s: the check %s is waived without a reason: write reason: ...", at, rule)
		}
	}
}

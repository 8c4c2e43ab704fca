package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"kforge.dev/kforge/pkg/diag"
	"kforge.dev/kforge/pkg/diag/errlist"
)

// Prefixes of selectors that are no host names.
const (
	classPrefix = "class:"
	rolePrefix  = "role:"
)

// Select gives the hosts that are meant, in the file's order: those of limit,
// or all without it, less those of skip. A selector is a host's name, a pattern
// of names (n*, gpu-[0-9]), class:NAME or role:NAME. One that matches no host is
// an error, since it is a slip of the pen; so is a selection of nobody. Its
// errors, of kind Invalid, come all at once.
func (c *Cluster) Select(limit, skip []string) ([]string, error) {
	var errs errlist.List
	match := func(selectors []string) map[string]bool {
		out := map[string]bool{}
		for _, s := range selectors {
			names, err := c.matching(s)
			if err != nil {
				errs.Add(err)
			}
			for _, n := range names {
				out[n] = true
			}
		}
		return out
	}
	in, not := match(limit), match(skip)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	var out []string
	for _, h := range c.Hosts {
		if (len(limit) == 0 || in[h.Name]) && !not[h.Name] {
			out = append(out, h.Name)
		}
	}
	if len(out) == 0 {
		return nil, diag.New(diag.Invalid, "choose hosts", "no host is left of %d", len(c.Hosts)).WithHint("see who is who: kforge inventory show %s", c.File)
	}
	return out, nil
}

func (c *Cluster) matching(selector string) (names []string, err error) {
	const op = "choose hosts"
	var is func(ResolvedHost) bool
	known := map[string]bool{}
	word := selector
	switch class, role := strings.HasPrefix(selector, classPrefix), strings.HasPrefix(selector, rolePrefix); {
	case class:
		word = strings.TrimPrefix(selector, classPrefix)
		is = func(h ResolvedHost) bool { known[h.Class] = true; return h.Class == word }
	case role:
		word = strings.TrimPrefix(selector, rolePrefix)
		is = func(h ResolvedHost) bool {
			for _, r := range h.Roles {
				known[r] = true
			}
			return slices.Contains(h.Roles, word)
		}
	default:
		if _, err := path.Match(word, ""); err != nil {
			return nil, diag.New(diag.Invalid, op, "%q is not a pattern of names", selector).WithHint("* is any text, ? one letter, [a-c] one of these")
		}
		is = func(h ResolvedHost) bool {
			known[h.Name] = true
			ok, _ := path.Match(word, h.Name) // the pattern is a good one, seen above
			return ok
		}
	}
	for _, h := range c.Hosts {
		if is(h) {
			names = append(names, h.Name)
		}
	}
	delete(known, "")
	if len(names) == 0 || word == "" {
		return nil, diag.New(diag.Invalid, op, "no host matches %q%s", selector, didYouMean(word, slices.Sorted(maps.Keys(known)))).
			WithHint("a selector is a host's name, a pattern of names, class:NAME or role:NAME; see kforge inventory show %s", c.File)
	}
	return names, nil
}

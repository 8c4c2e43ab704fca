package inventory

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DefaultVersion is the Kubernetes version of an inventory that names none.
const DefaultVersion = "v1.37.2"

// SupportedMinors are the Kubernetes minors that this version installs, oldest
// first.
var SupportedMinors = []string{"1.35", "1.36", "1.37"}

// newestPatch is what a bare minor means.
var newestPatch = map[string]string{
	"1.35": "v1.35.4",
	"1.36": "v1.36.3",
	"1.37": DefaultVersion,
}

var versionForm = regexp.MustCompile(`^v?(1\.\d{1,3})(?:\.(\d{1,3}))?$`)

// ResolveVersion turns "1.37", "1.37.2" or "v1.37.2" into "v1.37.2". The patch
// of a supported minor is free; newer tells that it is above the newest known.
func ResolveVersion(s string) (version string, newer bool, err error) {
	m := versionForm.FindStringSubmatch(s)
	if m == nil {
		return "", false, fmt.Errorf("%q is not a version such as %q or %q", s, DefaultVersion, SupportedMinors[len(SupportedMinors)-1])
	}
	known, ok := newestPatch[m[1]]
	if !ok {
		return "", false, fmt.Errorf("version %q is not supported: this kforge installs %s", s, strings.Join(SupportedMinors, ", "))
	}
	if m[2] == "" {
		return known, false, nil
	}
	patch, _ := strconv.Atoi(m[2])
	last, _ := strconv.Atoi(known[strings.LastIndexByte(known, '.')+1:])
	return fmt.Sprintf("v%s.%d", m[1], patch), patch > last, nil
}

// CompareVersions is negative when a is older than b, positive when it is newer
// and 0 when they are the same, patches and all. What is no version counts as the
// oldest.
func CompareVersions(a, b string) int {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:])
}

// MinorsApart is how many minors b is ahead of a, negative when it is behind.
func MinorsApart(a, b string) int { return numbers(b)[1] - numbers(a)[1] }

func numbers(version string) (n [3]int) {
	version, _, _ = strings.Cut(strings.TrimPrefix(version, "v"), "-")
	for i, part := range strings.SplitN(version, ".", 3) {
		v, err := strconv.Atoi(part)
		if err != nil {
			return [3]int{}
		}
		n[i] = v
	}
	return n
}

// Path gives the versions that a cluster goes through on its way from one to
// another, the first left out: one minor after the other, each by its newest
// known patch. It is empty when both are the same.
func Path(from, to string) ([]string, error) {
	switch c := CompareVersions(from, to); {
	case c == 0:
		return nil, nil
	case c > 0:
		return nil, fmt.Errorf("%s is newer than %s: there is no way back to an older version", from, to)
	case numbers(from)[0] != numbers(to)[0]:
		return nil, fmt.Errorf("no way is known from %s to %s", from, to)
	}
	var out []string
	for minor := numbers(from)[1] + 1; minor < numbers(to)[1]; minor++ {
		patch, ok := newestPatch[fmt.Sprintf("1.%d", minor)]
		if !ok {
			return nil, fmt.Errorf("the way from %s to %s goes through 1.%d, which this kforge does not install: it installs %s",
				from, to, minor, strings.Join(SupportedMinors, ", "))
		}
		out = append(out, patch)
	}
	return append(out, to), nil
}

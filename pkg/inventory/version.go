package inventory

import (
	"fmt"
	"regexp"
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

package inventory

import "time"

// Duration is a time.Duration written as "90s" or "5m".
type Duration time.Duration

// String gives the duration as time.Duration writes it, without zero tails:
// "5m", not "5m0s".
func (d Duration) String() string { return durationText(time.Duration(d)) }

// MarshalText writes the form that an inventory takes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func durationText(d time.Duration) string {
	s := d.String()
	for _, tail := range []string{"m0s", "h0m"} {
		if len(s) > len(tail) && s[len(s)-len(tail):] == tail {
			s = s[:len(s)-2]
		}
	}
	return s
}

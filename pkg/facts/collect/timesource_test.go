package collect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kforge.dev/kforge/pkg/facts"
)

func TestTimeSources(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ got, want []facts.TimeSource }{
		"chrony": {
			parseChronySources("^,*,10.0.0.1,2,6,377,23,-0.000012,-0.000014,0.0021\n^,?,10.0.0.2,0,8,0,4294967295,0.0,0.0,0.0\n#,x,PPS0,0,4,377,11,0.1,0.2,0.3\nbad\n"),
			[]facts.TimeSource{{Name: "10.0.0.1", State: "selected", Stratum: 2, OffsetSeconds: -0.000014}, {Name: "10.0.0.2", State: "unreachable"}, {Name: "PPS0", State: "falseticker", OffsetSeconds: 0.2}},
		},
		"ntpq": {
			parsePeers("     remote           refid      st t when poll reach   delay   offset  jitter\n==============================================================================\n 0.debian.pool.n .POOL.          16 p    -   64    0    0.000    0.000   0.000\n*192.168.1.1     .GPS.            1 u   33   64  377    0.302   -1.500   0.034\n 10.9.9.9        .INIT.          16 u    -   64    0    0.000    0.000   0.000\n"),
			[]facts.TimeSource{{Name: "192.168.1.1", State: "selected", Stratum: 1, OffsetSeconds: -0.0015}, {Name: "10.9.9.9", State: "unreachable", Stratum: 16}},
		},
		"timesyncd": {
			parseTimesync("FallbackNTPServers=0.debian.pool.ntp.org\nServerName=ntp.lan\nServerAddress=10.0.0.1\nNTPMessage={ Leap=0, Version=4, Mode=4, Stratum=3, Precision=-23 }\nFrequency=1\n"),
			[]facts.TimeSource{{Name: "ntp.lan", State: "selected", Stratum: 3}},
		},
		"timesyncd without a server": {parseTimesync("PollIntervalMinUSec=32s\n"), nil},
		"nothing":                    {parsePeers("No association ID's returned\n"), nil},
	}
	for name, tt := range tests {
		if d := cmp.Diff(tt.want, tt.got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

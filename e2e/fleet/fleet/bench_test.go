package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"kforge.dev/kforge/e2e/fleet/fleet"
	"kforge.dev/kforge/pkg/run"
)

// BenchmarkPlan has kforge and the fleet in one process: for kforge's own memory
// see `go run ./e2e/fleet -measure`.
func BenchmarkPlan(b *testing.B) {
	for _, hosts := range []int{100, 1000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			f := start(b, fleet.Options{Hosts: hosts, Latency: 5 * time.Millisecond})
			before := f.Stats()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				var r record
				if _, err := run.Plan(b.Context(), world(f, &r), options(f)); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			after, per := f.Stats(), float64(hosts*b.N)
			b.ReportMetric(float64(after.Connections-before.Connections)/per, "conns/host")
			b.ReportMetric(float64(after.Sessions-before.Sessions)/per, "sessions/host")
		})
	}
}

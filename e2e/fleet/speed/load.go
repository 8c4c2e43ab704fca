package speed

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticks a second, of the kernel's CPU times: it is the same on all of Linux.
const ticks = 100

// busySeconds is the CPU time that all of the machine has used since its boot.
func busySeconds() (float64, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read CPU times: %w", err)
	}
	return parseBusy(string(text))
}

// parseBusy reads the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq, steal; what follows is counted in the first two already.
func parseBusy(text string) (float64, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("read CPU times: line %q: want cpu and eight numbers", line)
	}
	var sum uint64
	for i, f := range fields[1:9] {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU times: %w", err)
		}
		if i != 3 && i != 4 { // idle, and waiting for a disk
			sum += v
		}
	}
	return float64(sum) / ticks, nil
}

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// machine is what the figures depend on: hosts and kforge share it.
type machine struct {
	CPU    string // model
	Cores  int
	Memory int64 // bytes
	Kernel string
}

func describeMachine() (machine, error) {
	m := machine{Cores: runtime.NumCPU()}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return m, fmt.Errorf("describe the machine: %w", err)
	}
	m.CPU = field(string(cpu), "model name")
	kb, err := strconv.ParseInt(strings.TrimSuffix(field(string(memory), "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return m, fmt.Errorf("describe the machine: read its memory: %w", err)
	}
	m.Memory = kb * 1024
	// What a distributor adds after the dash tells nothing here.
	m.Kernel, _, _ = strings.Cut(strings.TrimSpace(string(kernel)), "-")
	return m, nil
}

// cpuTimes are ticks of all cores since boot.
type cpuTimes struct{ idle, all uint64 }

func readCPU() (cpuTimes, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}, fmt.Errorf("read CPU times: %w", err)
	}
	return parseCPU(string(text))
}

// parseCPU reads the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq, steal; what follows is counted in the first two already.
func parseCPU(text string) (t cpuTimes, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return t, fmt.Errorf("read CPU times: line %q: want cpu and eight numbers", line)
	}
	for i, f := range fields[1:9] {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return t, fmt.Errorf("read CPU times: %w", err)
		}
		t.all += v
		if i == 3 || i == 4 { // waiting for a disk leaves the CPU to others
			t.idle += v
		}
	}
	return t, nil
}

// idleSince is the share of CPU time, 0 to 1, that nobody used since t was read.
func (t cpuTimes) idleSince() (float64, error) {
	now, err := readCPU()
	if err != nil {
		return 0, err
	}
	return now.idleShare(t), nil
}

func (t cpuTimes) idleShare(before cpuTimes) float64 {
	if t.all <= before.all {
		return 0
	}
	return float64(t.idle-before.idle) / float64(t.all-before.all)
}

// field is the value of the first line "NAME: VALUE", "" without one.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

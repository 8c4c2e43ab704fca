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

// field is the value of the first line "NAME: VALUE", "" without one.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

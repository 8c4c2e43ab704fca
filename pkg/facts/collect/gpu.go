package collect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kforge.dev/kforge/pkg/facts"
)

const nvidiaVendor = "10de"

// displays are vendors of management controllers and of hypervisors' consoles:
// VGA on the bus, and nothing to compute with.
var displays = map[string]bool{"1a03": true, "102b": true, "1234": true, "1af4": true, "15ad": true, "1013": true, "1b36": true, "80ee": true, "1414": true}

// models by NVIDIA's PCI id, for hosts without a driver.
var models = map[string]string{
	"102d": "Tesla K80", "13f2": "Tesla M60", "17fd": "Tesla M40",
	"15f7": "Tesla P100-PCIE-12GB", "15f8": "Tesla P100-PCIE-16GB", "15f9": "Tesla P100-SXM2-16GB", "1b38": "Tesla P40", "1bb3": "Tesla P4",
	"1db1": "Tesla V100-SXM2-16GB", "1db3": "Tesla V100-FHHL-16GB", "1db4": "Tesla V100-PCIE-16GB", "1db5": "Tesla V100-SXM2-32GB",
	"1db6": "Tesla V100-PCIE-32GB", "1db8": "Tesla V100-SXM3-32GB", "1df6": "Tesla V100S-PCIE-32GB", "1eb8": "Tesla T4",
	"20b0": "A100-SXM4-40GB", "20b2": "A100-SXM4-80GB", "20b5": "A100-PCIE-80GB", "20b7": "A30", "20f1": "A100-PCIE-40GB", "2235": "A40", "2236": "A10",
	"26b5": "L40", "26b9": "L40S", "27b8": "L4", "2330": "H100-SXM5-80GB", "2331": "H100-PCIE-80GB", "2335": "H200-SXM5-141GB", "2901": "B200",
}

// pci finds GPUs and NVLink switches by vendor and class alone: V100 and P100
// modules are 3D controllers (0302), not VGA.
func (h *host) pci() (gpus []facts.GPU, switches []string) {
	for _, dir := range h.glob("/sys/bus/pci/devices/*") {
		class := strings.TrimPrefix(h.line(dir+"/class"), "0x")
		if len(class) < 4 {
			continue
		}
		class = class[:4]
		if class != "0300" && class != "0302" && class != "0380" && class != "0680" {
			continue
		}
		vendor := strings.TrimPrefix(h.line(dir+"/vendor"), "0x")
		address := filepath.Base(dir)
		if class == "0680" {
			if vendor == nvidiaVendor {
				switches = append(switches, address)
			}
			continue
		}
		if displays[vendor] {
			continue
		}
		g := facts.GPU{Address: address, Vendor: vendor, Device: strings.TrimPrefix(h.line(dir+"/device"), "0x"), Class: class, NUMA: h.numaOf(dir)}
		if link, err := os.Readlink(h.path(dir + "/driver")); err == nil {
			g.Driver = filepath.Base(link)
		}
		if vendor == nvidiaVendor {
			g.Model = models[g.Device]
		}
		gpus = append(gpus, g)
	}
	for i := range gpus {
		if gpus[i].Driver == "nvidia" {
			h.askDriver(&gpus[i])
		}
	}
	return gpus, switches
}

// askDriver takes model and UUID from the driver. A card that fell off the bus
// can keep its driver from answering, so there is a deadline.
func (h *host) askDriver(g *facts.GPU) {
	text, ok := within(slowRead, func() string { return h.text("/proc/driver/nvidia/gpus/" + g.Address + "/information") })
	if !ok {
		return
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case value == "":
		case key == "Model":
			g.Model = value
		case key == "GPU UUID" && !strings.Contains(value, "?"): // not read yet
			g.UUID = value
		}
	}
}

// numaOf gives the node of a device, nil where the kernel says -1.
func (h *host) numaOf(dir string) *int {
	n, err := strconv.Atoi(h.line(dir + "/numa_node"))
	if err != nil || n < 0 {
		return nil
	}
	return &n
}

// nvidia tells of the driver without modinfo or nvidia-smi, which may be
// missing or hang.
func (h *host) nvidia(k facts.Kernel) facts.NVIDIA {
	n := facts.NVIDIA{
		Version: h.line("/sys/module/nvidia/version"), Loaded: h.exists("/sys/module/nvidia"),
		Nouveau: h.exists("/sys/module/nouveau"), NouveauBlacklisted: h.nouveauOff(k.CommandLine),
		FabricManager: h.unitActive("nvidia-fabricmanager.service"), Toolkit: h.find("nvidia-container-runtime"),
	}
	if v := h.text("/proc/driver/nvidia/version"); v != "" {
		n.Loaded = true
		n.Flavour = "proprietary"
		if strings.Contains(v, "Open Kernel Module") {
			n.Flavour = "open"
		}
		if n.Version == "" {
			n.Version = driverVersion(v)
		}
	}
	base := "/lib/modules/" + k.Release
	for line := range strings.Lines(h.text(base + "/modules.dep")) {
		file, _, _ := strings.Cut(line, ":")
		name, _, _ := strings.Cut(filepath.Base(file), ".ko")
		if name == "nvidia" || name == "nvidia-current" || name == "nvidia-current-open" {
			n.ModuleFile = filepath.Join(base, file)
			if filepath.IsAbs(file) {
				n.ModuleFile = file
			}
			break
		}
	}
	if n.ModuleFile != "" && (n.Version == "" || n.Flavour == "") {
		h.asInstalled(&n)
	}
	return n
}

// asInstalled reads a module that is not loaded; a compressed one tells by the
// names of its directories only.
func (h *host) asInstalled(n *facts.NVIDIA) {
	info := modinfo(h.path(n.ModuleFile))
	flavour := ""
	switch license := info["license"]; {
	case strings.Contains(license, "GPL"), license == "" && strings.Contains(n.ModuleFile, "-open"):
		flavour = "open"
	case license != "":
		flavour = "proprietary"
	}
	if n.Flavour == "" {
		n.Flavour = flavour
	}
	if n.Version == "" {
		n.Version = info["version"]
	}
}

// driverVersion finds 580.65.06 in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun ...".
func driverVersion(text string) string {
	for word := range strings.FieldsSeq(text) {
		if major, _, ok := strings.Cut(word, "."); ok && len(major) >= 3 && strings.Trim(word, "0123456789.") == "" {
			return word
		}
	}
	return ""
}

func (h *host) nouveauOff(cmdline string) bool {
	for _, w := range []string{"nouveau.modeset=0", "modprobe.blacklist=nouveau", "module_blacklist=nouveau"} {
		if strings.Contains(cmdline, w) {
			return true
		}
	}
	for _, dir := range []string{"/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"} {
		for _, p := range h.glob(dir + "/*.conf") {
			for line := range strings.Lines(h.text(p)) {
				f := strings.Fields(line)
				if len(f) >= 2 && f[0] == "blacklist" && f[1] == "nouveau" {
					return true
				}
			}
		}
	}
	return false
}

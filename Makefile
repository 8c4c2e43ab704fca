# kforge: build, test, try. `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS     := -s -w -buildid= -X kforge.dev/kforge/pkg/version.Version=$(VERSION)
# The agent carries no version: its digest is its name, and the same sources
# must give the same digest whatever the checkout is called.
AGENT_LD    := -s -w -buildid=
AGENT_DIR   := pkg/agentbin/agents
AGENT_ARCH  := amd64 arm64
AGENTS      := $(foreach p,kforge-agent kforge-certs,$(AGENT_ARCH:%=$(AGENT_DIR)/$(p)-linux-%.gz))
AGENT_SRC   := $(shell find cmd/kforge-agent cmd/kforge-certs pkg/certs pkg/agent pkg/resource pkg/wire pkg/spec pkg/facts pkg/diag -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
LAB         := $(GO) run ./e2e/lab

export CGO_ENABLED ?= 0
# One set of flags for everything compiled here, so that programs, tests, vet and
# the lab's Kubernetes share what is in the build cache.
# -buildvcs=false: a build must not depend on the owner of the checkout.
# -dwarf=false: no program keeps it (-s -w), and making it takes its time.
# -l, nothing is inlined: compiling takes a third less time, and kforge with a
# thousand hosts a quarter more CPU. `make release` does without, as do tests with
# the race detector, which run for longer than they compile.
GCFLAGS     ?= -dwarf=false -l
FLAGS       := -trimpath -buildvcs=false '-gcflags=all=$(GCFLAGS)'
OWN_GOFLAGS := $(filter-out $(FLAGS),$(GOFLAGS))
export GOFLAGS := $(strip $(OWN_GOFLAGS) $(FLAGS))

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: $(AGENTS) ## bin/kforge, with the agents for linux/amd64 and linux/arm64 in it
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/kforge ./cmd/kforge

.PHONY: release
release: clean ## bin/kforge as to be handed out: slower to compile, faster to run
	$(MAKE) build GCFLAGS=-dwarf=false

.PHONY: agents
agents: $(AGENTS) ## the agents only

$(AGENT_DIR)/kforge-agent-linux-%.gz: $(AGENT_SRC)
	GOOS=linux GOARCH=$* $(GO) build -ldflags '$(AGENT_LD)' -o bin/kforge-agent-linux-$* ./cmd/kforge-agent
	gzip -9nc bin/kforge-agent-linux-$* > $@.tmp && mv $@.tmp $@

$(AGENT_DIR)/kforge-certs-linux-%.gz: $(AGENT_SRC)
	GOOS=linux GOARCH=$* $(GO) build -ldflags '$(AGENT_LD)' -o bin/kforge-certs-linux-$* ./cmd/kforge-certs
	gzip -9nc bin/kforge-certs-linux-$* > $@.tmp && mv $@.tmp $@

.PHONY: setup
setup: ## what tests and lab need of this machine: Debian packages, a Docker engine
	$(LAB) setup

.PHONY: artifacts
artifacts: setup ## what the lab's hosts install, compiled from source: takes minutes, once
	$(LAB) artifacts

.PHONY: demo
demo: build ## a real cluster of three hosts on this machine; it stays up
	$(LAB) setup
	$(LAB) up
	bin/kforge apply inventories/lab.yaml --yes
	$(LAB) prove
	@echo
	@echo "The cluster is up. Try:"
	@echo "  bin/kforge apply inventories/lab.yaml --yes      # again: nothing to change"
	@echo "  bin/kforge plan inventories/lab.yaml"
	@echo "  go run ./e2e/lab exec n1 -- kubectl --kubeconfig /etc/kubernetes/admin.conf get pods -A -o wide"
	@echo "  make lab-down                                    # remove it"

.PHONY: lab-down
lab-down: ## remove the lab: hosts, network, mirror, keys; what was built stays cached
	$(LAB) down

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@out=$$(gofmt -l cmd pkg e2e templates); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet -tags e2e,long ./...
	$(GO) run $(STATICCHECK) -tags e2e,long ./...

RACE := CGO_ENABLED=1 GOFLAGS="$(OWN_GOFLAGS) -trimpath -buildvcs=false -gcflags=all=-dwarf=false"

# -vet=off: lint has vetted everything, and vet looks at all dependencies anew.
.PHONY: test-unit
test-unit: $(AGENTS) ## all tests that need no lab, with the race detector
	$(RACE) $(GO) test -race -vet=off -shuffle=on ./...

.PHONY: e2e
e2e: build ## the lab's tests: real hosts, real clusters
	$(LAB) setup
	$(GO) test -vet=off -tags e2e -count=1 -timeout 60m -v ./e2e
	KFORGE_TEST_KUBE_BIN=$$($(LAB) artifacts 2>/dev/null | awk '$$1 == "kubernetes" || $$1 == "etcd" { print $$NF }' | paste -sd:) \
		$(GO) test -vet=off -tags e2e -count=1 -run TestReal ./pkg/kube ./pkg/etcd

.PHONY: e2e-vm
e2e-vm: build ## the lab's test with a virtual machine: planted faults, swap, modules, reboot
	$(GO) test -vet=off -tags e2e -count=1 -timeout 20m -run TestPlanted -v ./e2e

.PHONY: e2e-long
e2e-long: build ## the lab's tests of what a cluster meets in years; not part of test: an hour, and a second Kubernetes
	$(LAB) setup
	$(GO) test -vet=off -tags e2e,long -count=1 -timeout 120m -run '^(TestYears|TestOneBecomesThree|TestAdopt|TestUpgrade|TestCertificates)$$' -v ./e2e

# The lab's first tests leave a core idle while their hosts wait for each other:
# meanwhile everything is compiled for the race detector.
.PHONY: race-objects
race-objects: $(AGENTS)
	$(RACE) nice -n 19 $(GO) list -race -test -deps -export ./... >/dev/null

.PHONY: test
test: ## everything but e2e-long: set-up, lint, unit tests, the lab's tests
	$(MAKE) -j2 artifacts lint
	$(MAKE) build
	$(MAKE) -j2 race-objects e2e
	$(MAKE) test-unit

.PHONY: bench
bench: release ## figures against their goals, on lab and fleet; writes docs/performance.md
	$(LAB) setup
	$(GO) run ./e2e/bench

.PHONY: bench-fleet
bench-fleet: release ## those of the fleet alone: 1,000 hosts in one process, no lab
	$(GO) run ./e2e/bench -only fleet

.PHONY: clean
clean: ## what a build made
	rm -rf bin $(AGENT_DIR)/*.gz

# Everything that CI runs, and what developers run by hand. `make` alone lists the targets.
SHELL := /bin/bash
GO ?= go
GOLANGCI_VERSION := v2.6.2
TOOLS := $(CURDIR)/.cache/bin
FUZZTIME ?= 10s
KILLS ?= 300
SOAK ?= 10m

.PHONY: help build test unit lint vet fuzz crash soak memory bench bench-quick bench-engines bench-ecg bench-memory ohif web web-shots generate-check clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

build: ## build ./tributary
	CGO_ENABLED=0 $(GO) build -trimpath -o tributary ./cmd/tributary

test: ## install what the tests need and run them all
	./scripts/test-deps.sh
	$(GO) vet ./...
	$(GO) test -shuffle=on -count=1 -timeout 20m ./...

unit: ## tests without processes, servers and long loops
	$(GO) test -short -shuffle=on -count=1 ./...

race: ## the concurrent rooms under the race detector
	$(GO) test -short -race -count=1 ./dimse/... ./ingest/... ./storage/... ./pipeline/... ./review/...

lint: $(TOOLS)/golangci-lint ## formatting, imports between rooms, common mistakes
	$(TOOLS)/golangci-lint run ./...

$(TOOLS)/golangci-lint:
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

fuzz: ## every fuzz target for FUZZTIME (10s) each; SHARD=i/n takes every n-th one
	@set -e; i=0; for file in $$(grep -rl '^func Fuzz' --include=*_test.go --exclude-dir=testengines . | sort); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
	    i=$$((i+1)); if [ -n "$(SHARD)" ] && [ $$((i % $(lastword $(subst /, ,$(SHARD))))) -ne $(firstword $(subst /, ,$(SHARD))) ]; then continue; fi; \
	    echo "$$(dirname $$file) $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$(dirname $$file); \
	  done; done

crash: ## kill a loaded server KILLS (300) times and check that nothing acknowledged is lost
	$(GO) test -count=1 -timeout 4h -run '^TestCrash$$' ./e2e -args -kills $(KILLS)

soak: ## break nodes, engines and lines of a county at random for SOAK (10m), and audit what is left; SEED repeats
	$(GO) test -count=1 -v -timeout 0 -run '^TestStorm$$' ./e2e -args -soak $(SOAK) $(if $(SEED),-seed $(SEED))

web: ## make the scripts and styles of the pages from review/web/src
	$(GO) generate ./review/web
	@if [ -d e2e/pages/node_modules ]; then node e2e/pages/node_modules/typescript/bin/tsc --project review/web; fi

web-shots: ## pictures of every page, by headless Chromium, in .cache/pages
	TRIBUTARY_SCREENSHOTS=$(CURDIR)/.cache/pages $(GO) test -count=1 ./e2e/pages

ohif: build ## open synthetic studies of every kind in OHIF, served by ./tributary, in headless Chromium (7 minutes)
	./scripts/ohif.sh run $(OHIFFLAGS)

bench: build ## throughput, memory and queries beside the limits, DCMTK and Orthanc where installed
	./bench/run.sh -tributary ./tributary -json bench/out/bench.json $(BENCHFLAGS)

bench-quick: build ## the same with a tenth of the objects, in about a minute
	./bench/run.sh -tributary ./tributary -quick $(BENCHFLAGS)

bench-engines: ## a node over S3, Kafka and PostgreSQL beside the embedded one; WHOLE=1 for all objects
	$(GO) test ./bench -v -count=1 -timeout 2h -run '^TestBenchEngines$$' -args -engines $(if $(WHOLE),-whole)

bench-ecg: ## decoders of recordings, and a Holter of a day; beside biosig where biosig-tools is installed
	$(GO) test ./bench -v -count=1 -timeout 30m -run '^TestBenchECG$$' -args -ecg

bench-memory: build ## fail when a 2 GiB instance takes the node more memory than its goal
	./bench/run.sh -tributary ./tributary -only W3 -systems tributary,null -check $(BENCHFLAGS)

generate-check: ## generated files are those that their generators make
	$(GO) generate ./... && git diff --exit-code

clean: ## remove what the targets above made
	rm -rf tributary .cache bench/out bench/bin

# SPDX-License-Identifier: Apache-2.0
# `make` prints the targets. run and test set up what they need.

GO      ?= go
export CGO_ENABLED = 0
export GOFLAGS    ?= -trimpath
BIN     := bin/tallyman
DATA    ?= $(CURDIR)/bin/data
LISTEN  ?= 127.0.0.1:8420
ARGS    ?=
IMAGE   ?= tallyman
T       ?= 30s
WEB     := $(shell find web/src web/public web/*.html web/*.ts web/*.json web/.npmrc -type f 2>/dev/null)

UNIT     = $$($(GO) list ./... | grep -v /test/)
TESTRUN  = bin/testrun

.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

run: setup-run build ## build everything and start against the local Docker; prints the link to open
	@mkdir -p $(DATA) && chmod 700 $(DATA)
	exec $(BIN) run --data $(DATA) --listen $(LISTEN) $(ARGS)

test: ## everything that CI runs: lint, unit, guard, integration on a real engine, browser; the end is in bin/last-test
	@$(MAKE) --no-print-directory -j2 setup-test build testrun
	@exec $(TESTRUN)

unit: ## fast tests: no Docker, no network
	$(GO) test $(UNIT) ./test/guard/...

integration: setup-test ## tests on a real Docker engine
	$(GO) test -count=1 -v ./test/integration/...

e2e: setup-test web build ## the built program over HTTP and in a real browser
	TEST_TALLYMAN_BINARY=$(CURDIR)/$(BIN) TEST_UI=1 $(GO) test -count=1 -v ./test/e2e/...

screenshots: setup-test web build ## the pictures of the documents, taken on the ways on which people find what they came for
	TOUR=$(CURDIR)/docs/screens TEST_TALLYMAN_BINARY=$(CURDIR)/$(BIN) TEST_UI=1 $(GO) test -count=1 -v -run TestTour ./test/e2e/

race: testrun ## unit tests under the race detector (needs a C compiler)
	@exec $(TESTRUN) unit

bench: setup-test build ## on real containers: collection against the floor program, the whole program, the pages in a browser
	$(GO) test -run '^$$' -bench . -benchtime 20000x -timeout 20m ./test/bench/...
	TEST_TALLYMAN_BINARY=$(CURDIR)/$(BIN) TEST_UI=1 $(GO) test -run '^$$' -bench Page -benchtime 1x -v ./test/e2e/...

bench-peers: setup-test build ## what cAdvisor, Telegraf and Netdata cost beside it; writes docs/benchmarks.md (an hour the first time)
	scripts/bench-peers.sh

torture: setup-test ## bad days at length: a hundred kills while logs are read; the table is in the output
	$(GO) test -count=1 $(UNIT)
	TORTURE_KILLS=100 $(GO) test -count=1 -v -timeout 90m -parallel 6 ./test/torture/...

fuzz: ## every fuzz target in turn, T=30s each
	@set -e; for p in $$(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v node_modules | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' $$p | awk '{print $$2}'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(T) $$p; done; done

lint: testrun ## gofmt, vet and staticcheck
	@exec $(TESTRUN) gofmt vet staticcheck

generate: web/node_modules/.package-lock.json ## rewrite generated files
	$(GO) generate ./...
	cd web && npm run --silent schema

build: web ## the program with the page in it
	$(GO) build -tags ui -ldflags '-s -w' -o $(BIN) ./cmd/tallyman

image: setup-run build ## the agent as a container image: tallyman
	@rm -rf bin/image && mkdir -p bin/image && cp deploy/Dockerfile $(BIN) bin/image/
	docker build -q -t $(IMAGE) bin/image

plugin: setup-run build ## the managed plugin for the engine's own metrics: docker plugin enable tallyman
	@rm -rf bin/plugin && mkdir -p bin/plugin/rootfs/run/docker/plugins && cp deploy/plugin/config.json bin/plugin/ && cp $(BIN) bin/plugin/rootfs/tallyman
	docker plugin create $(IMAGE) bin/plugin

web: web/dist/index.html ## build the page

web/dist/index.html: web/node_modules/.package-lock.json $(WEB)
	cd web && npm run --silent build

web/node_modules/.package-lock.json: web/package-lock.json
	@command -v npm >/dev/null || { echo "make: Node.js with npm is needed to build the page"; exit 1; }
	cd web && npm ci --no-audit --no-fund
	@touch $@

web-test: web/node_modules/.package-lock.json ## unit tests of the page
	cd web && npm test --silent

test-cgroup2: build ## the same numbers on cgroup v2, in a virtual machine (needs qemu, mmdebstrap)
	scripts/test-cgroup2.sh

testrun:
	@$(GO) -C internal/tools build -o $(CURDIR)/$(TESTRUN) ./testrun

setup-run:
	@scripts/setup.sh run

setup-test:
	@scripts/setup.sh test

clean: ## remove what was built; data in bin/data stays
	rm -rf $(BIN) $(TESTRUN) web/dist web/node_modules web/schema/node_modules test/e2e/node_modules

.PHONY: help run test unit integration e2e screenshots race bench bench-peers torture fuzz lint generate build image plugin web web-test test-cgroup2 testrun setup-run setup-test clean

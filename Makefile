# Everything that CI runs is a target here. Go is all that is needed.

GO      ?= go
ARGS    ?=
FUZZ    ?= 30s
SEED    ?=
FOR     ?= 10m
PKGS    := ./...
# Modules of their own, so that the library's stays small: its second transport, its metrics, the relay, the console
# program, the benchmarks of its peers, other authors' clients, and what checks the alert rules.
NESTED  := pterosocket/gobwas pterosocket/prom pterosocket/relay pterosocket/cmd/pteroconsole internal/bench internal/interop internal/promcheck
NPM     := npm install --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --silent

.PHONY: help run test lint fmt fuzz cover chaos soak idle bench microbench flaky interop model fleet relay relay-test relay-chaos relay-bench

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/'

run: ## the console program; make run ARGS="-for 5s" for a bounded run
	@cd pterosocket/cmd/pteroconsole && $(GO) run . $(ARGS)

test: ## all tests, with the race detector
	$(GO) test -race -timeout 10m $(PKGS)
	cd pterosocket/gobwas && $(GO) test -race -timeout 10m ./...
	cd pterosocket/prom && $(GO) test -race -timeout 10m ./...
	cd pterosocket/relay && $(GO) test -race -short -timeout 10m ./...
	cd pterosocket/cmd/pteroconsole && $(GO) test -race -timeout 10m ./...
	cd internal/bench && $(GO) test -race -timeout 10m ./...
	cd internal/promcheck && $(GO) test -timeout 10m ./...

lint: ## formatting, vet and staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet $(PKGS)
	cd internal/tools && $(GO) build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	./bin/staticcheck $(PKGS)
	$(GO) mod tidy -diff
	@set -e; for dir in $(NESTED); do echo "$$dir"; \
	  (cd $$dir && $(GO) vet ./... && $(CURDIR)/bin/staticcheck ./... && $(GO) mod tidy -diff); done

fmt: ## formats the code
	gofmt -w .

fuzz: ## each fuzz test for FUZZ (30s)
	@set -e; for dir in . pterosocket/gobwas; do cd $(CURDIR)/$$dir; for pkg in $$($(GO) list $(PKGS)); do \
	  for name in $$($(GO) test -short -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$name"; $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZ) -fuzzminimizetime 10x $$pkg; done; done; done

cover: ## the tests' coverage
	$(GO) test -coverprofile cover.out -coverpkg ./internal/...,./pterosocket/... $(PKGS)
	$(GO) tool cover -func cover.out | tail -n 1

interop: ## other authors' clients against pterotest; needs Node and the npm registry
	cd internal/interop && $(NPM) && $(GO) test -race -count 1 -parallel 16 -timeout 5m -v .

bench: ## beside its peers, in the same run; writes pterosocket/docs; needs Node and the npm registry, takes a quarter of an hour
	cd internal/bench && $(NPM) && $(GO) build -o ../../bin/bench . && ../../bin/bench -out ../../pterosocket/docs $(ARGS)

microbench: ## decoding, the queue and delivery
	$(GO) test -run '^$$' -bench . -benchmem $(PKGS)

idle: ## 20,000 idle connections for two hours of virtual time: no growth
	PTERO_IDLE=20000 $(GO) test -count 1 -timeout 30m -v -run '^TestIdleConnectionsDoNotGrow$$' ./pterosocket

model: ## the model of resuming, 20,000 seeds in each mode; takes a few minutes
	PTERO_MODEL=20000 $(GO) test -count 1 -timeout 30m -v -run '^TestAgainstAModel$$' ./internal/replay

chaos: ## days of virtual time with mixed faults; SEED= replays a run
	PTERO_CHAOS=long PTERO_SEED=$(SEED) $(GO) test -count 1 -timeout 30m -v -run '^(TestChaos|TestStoppedConsumerUnderAFlood)$$' ./pterosocket

fleet: ## a thousand servers on twenty daemons for a day of virtual time; SEED= replays a run; takes a few minutes
	PTERO_FLEET=long PTERO_CHAOS=long PTERO_SEED=$(SEED) $(GO) test -count 1 -timeout 60m -v -run '^(TestFleetDay|TestFleetKeepsToThePanelsLimit|TestFleetComesBack)$$' ./pterosocket

relay: ## a relay with NATS and a fake panel inside; make relay ARGS="-for 10s" for a bounded run
	@cd pterosocket/relay && $(GO) run ./cmd/pterorelay $(ARGS)

relay-test: ## the relay's tests, with those that take half a minute
	cd pterosocket/relay && $(GO) test -race -count 1 -timeout 10m ./...

relay-chaos: ## three relays and a NATS server as processes, with faults, for FOR (10m); SEED= repeats the order of faults
	cd pterosocket/relay && PTERO_RELAY_CHAOS=$(FOR) PTERO_SEED=$(SEED) $(GO) test -count 1 -timeout 0 -v -run '^TestRelayChaos$$' .

relay-bench: ## what a relay costs, beside a direct connection in the same run
	cd pterosocket/relay && PTERO_RELAY_BENCH=1 $(GO) test -count 1 -timeout 30m -v -run '^TestRelayFigures$$' .

soak: ## the same in real time over loopback, for FOR (10m)
	PTERO_SOAK=$(FOR) PTERO_SEED=$(SEED) $(GO) test -race -count 1 -timeout 0 -v -run '^TestSoak$$' ./pterosocket

flaky: ## every test a hundred times
	$(GO) test -race -count 100 -timeout 60m -short $(PKGS)

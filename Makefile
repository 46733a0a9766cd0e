# Two commands matter: `make demo` and `make test`. Each installs what it needs.
SHELL := /bin/bash
BUILD ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -X latchkey/internal/version.Build=$(BUILD)
PLATFORMS := linux/amd64 linux/arm64 windows/amd64 windows/arm64 darwin/amd64 darwin/arm64
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
DEMO ?= run
# SQLite is C in Go's clothes: the race detector's checks of pointer arithmetic
# take half of the tests' time in it and find nothing of ours.
RACE := -race -gcflags=modernc.org/...=-d=checkptr=0

.PHONY: help setup build demo test check cross unit bench soak lint vuln clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: ## Install what is missing (Debian packages, modules, assets)
	@scripts/setup.sh

build: setup ## Build the three programs into bin/
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

demo: build ## Run the main job on this machine; DEMO=check walks through it unattended
ifeq ($(DEMO),check)
	go run ./internal/demo/check --latchkeyd bin/latchkeyd
else
	bin/latchkeyd demo
endif

test: build check cross unit ## Every test

check: ## gofmt and vet
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go vet -tags pkcs11 ./internal/seal/hsm ./cmd/latchkeyd

cross: ## The application builds without cgo for every platform
	@for p in $(PLATFORMS); do \
	  echo "build latchkey $$p"; \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build -trimpath -o /dev/null ./cmd/latchkey || exit 1; \
	done

unit: ## Unit, conformance, command, browser and card-tool tests with the race detector
	go test $(RACE) -count=1 -timeout 14m $$(go list ./... | grep -v internal/face/attacks)
	go test $(RACE) -count=1 -tags pkcs11 ./internal/seal/hsm # that of a latchkeyd with an HSM
	go test -count=1 ./internal/exhaustive # every single fault; with the detector a part
	go test -count=1 ./internal/face/attacks # pictures are drawn pixel by pixel: ten times as long with the detector

bench: build ## Benchmarks: one figure is worth little, ratios of one run are
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...
	go test -run '^$$' -bench BenchmarkRewrap -benchtime 1x -timeout 30m ./internal/escrow/upkeep -rewrap-keys 1000000

soak: build ## The slower proofs: longer fuzzing and fault runs
	scripts/soak.sh

lint: ## staticcheck
	go run $(STATICCHECK) ./...

vuln: ## govulncheck (needs the vulnerability database)
	go run $(GOVULNCHECK) ./...

clean: ## Remove what was built
	rm -rf bin

# `make help` lists the targets. The README uses `make run` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run demo observe test tools check openapi browser deny measured bench fuzz hostile clean

CARGO ?= cargo
# Optional: cargo-nextest has better reports than cargo test.
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
# Empty for root.
SUDO := $(shell test "$$(id -u)" = 0 || command -v sudo 2>/dev/null)

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

run: ## build and serve on the embedded store, loopback only
	$(CARGO) run --release --locked -- serve --config config/provbroker.toml

demo: ## run the demonstration: four simulated phones, each step checked
	$(CARGO) run --release --locked -- demo

# Port of Prometheus: the first free one from 9091 on, because the broker uses 9090. `make observe PORT=…` sets another one.
PORT ?= $(shell for port in $$(seq 9091 9099); do (: </dev/tcp/127.0.0.1/$$port) 2>/dev/null || { echo $$port; break; }; done)
observe: ## Prometheus with the delivered rules, scraping a broker that runs here
	@command -v prometheus >/dev/null || { echo "prometheus is missing; make tools installs it"; exit 1; }
	@mkdir -p target/prometheus
	@echo "Prometheus: http://127.0.0.1:$(PORT)   alerts: /alerts   what it scrapes: /targets   end: ^C"
	@exec prometheus --config.file=config/prometheus.yml --storage.tsdb.path=target/prometheus \
	  --web.listen-address=127.0.0.1:$(PORT) --log.level=warn

test: tools check openapi browser deny measured ## install what is missing, run everything
	@echo "everything passed"

tools:
	@if ! command -v redis-server >/dev/null; then \
	  echo "redis-server is missing; installing it"; \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q redis-server; \
	fi </dev/null
	@redis-server --version
	@if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "python3-venv is missing; installing it"; \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q python3-venv; \
	fi </dev/null
	@python3 --version
	@if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then \
	  echo "prometheus is missing; installing it, without a service"; \
	  $(SUDO) apt-get update -q; $(without-service) $(SUDO) apt-get install -y -q --no-install-recommends prometheus; \
	fi </dev/null
	@promtool --version 2>&1 | head -n 1

	@if ! command -v haproxy >/dev/null || ! command -v nginx >/dev/null || ! test -e /usr/lib/nginx/modules/ngx_stream_module.so; then \
	  echo "haproxy or nginx is missing; installing them, without services"; \
	  $(SUDO) apt-get update -q; $(without-service) \
	  $(SUDO) apt-get install -y -q --no-install-recommends haproxy nginx-light libnginx-mod-stream; \
	fi </dev/null
	@haproxy -v | head -n 1; nginx -v

	@missing=; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	if test -n "$$missing"; then \
	  echo "missing, and installed now:$$missing"; \
	  $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $$missing; \
	fi </dev/null
	@chromium --version 2>/dev/null | tail -n 1; echo "node $$(node --version)"

# The packages would start servers, at once and at each boot, on ports that the broker may need, but only the programs are
# needed. A policy file prevents the start during the installation (an existing one stays), and the service is
# disabled.
define without-service
  policy=/usr/sbin/policy-rc.d; \
  finish() { test -z "$$ours" || $(SUDO) rm -f $$policy; $(SUDO) systemctl disable prometheus haproxy nginx 2>/dev/null || true; }; \
  ours=; trap finish EXIT; \
  if ! test -e $$policy; then \
    ours=yes; printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null; $(SUDO) chmod 755 $$policy; \
  fi;
endef

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
ifneq ($(NEXTEST),)
	$(CARGO) nextest run --workspace --locked </dev/null
	$(CARGO) test --workspace --locked --doc </dev/null
else
	$(CARGO) test --workspace --locked </dev/null
endif

# Tests every operation of the operators' REST interface. The environment is made again when the pinned version changes.
VENV := target/openapi/venv
$(VENV)/made: tests/openapi/requirements.txt
	rm -rf $(VENV)
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/openapi/requirements.txt </dev/null
	touch $@

openapi: $(VENV)/made
	$(CARGO) build --locked --bin provbroker
	python3 -B tests/openapi/run.py target/debug/provbroker $(VENV)/bin/schemathesis </dev/null

# Tests the pages in a real browser and writes screenshots to target/browser. The pinned packages are installed again when they
# change; no browser is downloaded.
BROWSER := target/browser/program
BROWSERS := run people oidc
$(BROWSER)/made: tests/browser/package.json tests/browser/package-lock.json
	rm -rf $(BROWSER)
	mkdir -p $(BROWSER)
	cp tests/browser/package.json tests/browser/package-lock.json $(BROWSER)
	cd $(BROWSER) && npm ci --ignore-scripts --no-audit --no-fund --silent </dev/null
	touch $@

browser: $(BROWSER)/made
	$(CARGO) build --locked --bin provbroker
	$(CARGO) build --locked -p loadtest
	cp tests/browser/*.mjs $(BROWSER)
	for test in $(BROWSERS); do \
	  node $(BROWSER)/$$test.mjs target/debug/provbroker target/debug/loadtest target/browser </dev/null || exit 1; \
	done

# tests/dependencies.rs checks licences, sources and duplicates in every run. cargo-deny with the advisory database takes
# minutes to install and needs more network access than the registry.
deny:
ifeq ($(DENY),1)
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked
	$(CARGO) deny check
else
	@echo "known vulnerabilities of dependencies: not checked (make test DENY=1 installs cargo-deny and checks)"
endif

# Tests that measure memory or kill processes run one at a time, because they need the whole machine.
measured:
ifneq ($(NEXTEST),)
	$(CARGO) nextest run --workspace --locked --run-ignored only --test-threads 1 --no-tests pass </dev/null
else
	$(CARGO) test --workspace --locked -- --ignored --test-threads 1 </dev/null
endif

# Counts instructions instead of seconds, which does not depend on the load of the machine. `make bench KEEP=--keep` stores the
# new number as the baseline.
bench: ## count the instructions of one registration
	@command -v valgrind >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q valgrind; } </dev/null
	python3 -B benches/count.py "$$($(CARGO) build --release --locked --bench registration --message-format json \
	  | python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable") and m["target"]["name"] == "registration"][-1])')" \
	  benches/registration.baseline $(KEEP)

# Each target for a minute, with a new seed. An input that breaks something is shown; keep it in tests/fuzz/corpus/TARGET.
fuzz: ## generated inputs against everything that strangers send
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM$$RANDOM} \
	  $(CARGO) test --locked --test fuzz -- --nocapture --test-threads 2 </dev/null

hostile: ## what a stranger reaches: guesses, places, memory, bytes of the store
	$(CARGO) build --release --locked --bin provbroker
	python3 -B tests/hostile/stranger.py target/release/provbroker $(SCENARIO)

clean: ## remove build results; data files stay
	$(CARGO) clean
